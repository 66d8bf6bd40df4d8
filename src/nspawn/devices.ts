import type { DeviceRule } from "./payload";
import { nspawnSwitches } from "./switches";

/**
 * Devices that systemd-nspawn or the container may open besides those of DevicePolicy=closed, as in
 * systemd-nspawn@.service(5): with --keep-unit systemd-nspawn does not restrict devices, so the supervisor must, because the
 * container has CAP_MKNOD.
 */
const containerDevices: readonly DeviceRule[] = [
  { path: "/dev/net/tun", permissions: "rwm" },
  { path: "char-pts", permissions: "rw" },
  { path: "/dev/fuse", permissions: "rwm" },
  // Creating a node does not open it. When systemd-nspawn changes the owners of an overlay's files for a user namespace, it creates
  // the image's device nodes again: without this, it fails on a Debian's /dev/console. OCI runtimes allow the same (runc, "c *:* m").
  { path: "char-*", permissions: "m" },
  { path: "block-*", permissions: "m" },
];

/** Devices that systemd-nspawn needs to attach a disk image. */
const diskImageDevices: readonly DeviceRule[] = [
  { path: "/dev/loop-control", permissions: "rw" },
  { path: "block-loop", permissions: "rw" },
  { path: "block-blkext", permissions: "rw" },
  { path: "/dev/mapper/control", permissions: "rw" },
  { path: "block-device-mapper", permissions: "rw" },
];

/** All devices that a container and its systemd-nspawn may open, in the notation of DeviceAllow= (systemd.resource-control(5)). */
export function allowedDevices(spec: {
  readonly argv: readonly string[];
  readonly devices: readonly DeviceRule[];
}): readonly DeviceRule[] {
  const diskImage = nspawnSwitches(spec.argv).some((argument) => /^--(?:image|mstack)=/.test(argument));
  return [...containerDevices, ...(diskImage ? diskImageDevices : []), ...spec.devices];
}

/**
 * If nothing restricts the devices that a container opens, it must not create device nodes: with mknod(2) it could open the host's
 * disks. systemd-nspawn creates the nodes of the container's /dev before it drops the capability.
 */
export function dropMknod(argv: readonly string[]): readonly string[] {
  const requested = nspawnSwitches(argv).some((argument) =>
    /^--capability=(?:.*,)?(?:all|CAP_MKNOD)(?:,|$)/.test(argument),
  );
  const [program = "", ...rest] = argv;
  return requested ? argv : [program, "--drop-capability=CAP_MKNOD", ...rest];
}
