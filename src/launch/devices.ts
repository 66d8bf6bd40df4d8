import { realpath, stat } from "node:fs/promises";
import type { Device, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { DeviceNode } from "../config/mounts";
import type { PluginOptions } from "../config/plugin/options";
import { checkDevice } from "../config/policy";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { majorOf, minorOf } from "../linux/cgroup/devices";
import type { LaunchSpec } from "../supervisor/supervisor";
import type { PlannedCdi } from "./cdi";
import type { MountRequest } from "./mount-ownership";

/** Mode bits that grant access to all users (inode(7)), by permission letter; "m" (mknod) does not depend on the node's mode. */
const othersBits: Readonly<Record<string, number>> = { r: 0o4, w: 0o2 };

/** A host device for a container: its node on the host, and its permissions. */
interface ContainerDevice {
  readonly mount: MountRequest;
  readonly rule: LaunchSpec["devices"][number];
}

/**
 * The device nodes that a container gets: those of its `devices` option, and those that Nomad's device plugins selected. All are
 * bind mounts of the host's nodes, because device nodes cannot be created in a user namespace.
 *
 * @param plugin the operator's limits; device plugins are always allowed, because the operator installs them
 * @param cdi the nodes of CDI devices, which are allowed already
 * @throws ConfigError for a path that is not allowed or is not a device
 */
export async function containerDevices(
  config: Pick<TaskConfig, "devices">,
  options: Pick<TaskOptions, "devices">,
  plugin: Pick<PluginOptions, "allow_devices" | "allow_privileged_binds">,
  cdi: Pick<PlannedCdi, "nodes">,
): Promise<ContainerDevice[]> {
  // The path that the job writes and the one it leads to: a symlink must not reach another device.
  for (const { host } of options.devices) {
    for (const name of new Set([host, await realpath(host).catch(() => host)])) checkDevice("devices", name, plugin);
  }
  const devices: ContainerDevice[] = [];
  for (const device of options.devices) devices.push(await containerDevice("Option devices", device));
  for (const device of config.devices) devices.push(await containerDevice("A device plugin", fromPlugin(device)));
  for (const { subject, device } of cdi.nodes) devices.push(await containerDevice(subject, device));
  return devices;
}

function fromPlugin({ hostPath, taskPath, cgroupPermissions }: Device): DeviceNode {
  return { host: hostPath, container: taskPath || hostPath, permissions: cgroupPermissions || "rwm" };
}

async function containerDevice(subject: string, device: DeviceNode): Promise<ContainerDevice> {
  const { host, container, permissions } = device;
  const source = await realpath(host).catch((error: unknown) => {
    throw new ConfigError(`${subject} asks for "${host}", which does not exist on this client.`, { cause: error });
  });
  const stats = await stat(source);
  const kind = stats.isCharacterDevice() ? "char" : stats.isBlockDevice() ? "block" : undefined;
  if (kind === undefined) {
    throw new ConfigError(
      `${subject} asks for "${host}", which is not a device node${stats.isFile() || stats.isDirectory() ? ": use bind" : ""}.`,
    );
  }
  // If the mode grants access to all users, keep the owner: the container then need not own the node, and an owner could change its
  // mode on the host.
  const open = [...permissions].every(
    (letter) => (stats.mode & (othersBits[letter] ?? 0)) === (othersBits[letter] ?? 0),
  );
  return {
    mount: { source, target: container, readOnly: false, ...(open ? { keepOwners: true } : {}) },
    // By major and minor number, because DeviceAllow= accepts only paths below /dev.
    rule: { path: `/dev/${kind}/${majorOf(stats.rdev)}:${minorOf(stats.rdev)}`, permissions },
  };
}
