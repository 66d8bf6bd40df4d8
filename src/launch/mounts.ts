import { realpath } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import type { Mount, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { simplify } from "../config/combinations";
import { inImage, type OverlayMount, splitBindTarget } from "../config/mounts";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import type { TaskMount } from "../nspawn/arguments";
import type { MountRequest } from "./mount-ownership";

/** The paths of the directories that Nomad creates for a task (nomad's client/allocdir). */
export function taskDirectories(config: Pick<TaskConfig, "allocDir" | "name">) {
  const task = join(config.allocDir, config.name);
  return { task, alloc: join(config.allocDir, "alloc"), local: join(task, "local"), secrets: join(task, "secrets") };
}

/** Policy on the host paths that a job may mount. */
interface SourcePolicy {
  readonly taskDirectory: string;
  /** Whether absolute paths on the host are allowed (allow_privileged_binds). */
  readonly privileged: boolean;
}

/**
 * A mount's source as an absolute path without symlinks. A relative source must be in the task directory even after all
 * its symlinks are resolved: an artifact must not redirect a mount to a path outside.
 *
 * @throws ConfigError if it does not exist, is outside the task directory, or is absolute and that is not allowed
 */
export async function resolveSource(option: string, source: string, policy: SourcePolicy): Promise<string> {
  const absolute = isAbsolute(source);
  if (absolute && !policy.privileged) {
    throw new ConfigError(
      `${option} "${source}" is a path of the host, which this client does not allow (allow_privileged_binds = false): use a path relative to the task directory.`,
    );
  }
  const path = absolute ? source : resolve(policy.taskDirectory, source);
  const real = await realpath(path).catch((error: unknown) => {
    throw new ConfigError(`${option} "${source}" cannot be mounted: ${path} does not exist on this client.`, {
      cause: error,
    });
  });
  const root = await realpath(policy.taskDirectory);
  if (!absolute && real !== root && !real.startsWith(root + sep)) {
    throw new ConfigError(
      `${option} "${source}" is outside the task directory (it resolves to ${real}): a relative path must stay inside it.`,
    );
  }
  return real;
}

/**
 * The mounts of `bind` and `bind_read_only`. Owners of paths in the task directory are mapped to the container's user IDs; host
 * paths keep their owners unless the job requests a mapping, as in the Go driver: otherwise a job that could only read files of
 * the host's root would be able to write them after an upgrade.
 *
 * @throws ConfigError as resolveSource() does
 */
export async function bindMounts(
  options: Pick<TaskOptions, "bind" | "bind_read_only">,
  policy: SourcePolicy,
): Promise<MountRequest[]> {
  const mounts: MountRequest[] = [];
  for (const option of ["bind", "bind_read_only"] as const) {
    for (const [source, value] of Object.entries(options[option])) {
      const { path: target, options: words } = splitBindTarget(value);
      mounts.push({
        source: await resolveSource(option, source, policy),
        target,
        readOnly: option === "bind_read_only",
        ...(words.length === 0 ? {} : { options: words }),
        ...(isAbsolute(source) ? { keepOwners: true } : {}),
      });
    }
  }
  return mounts;
}

/** The mounts of `overlay` with their directories resolved. @throws ConfigError as resolveSource() does */
export async function overlayMounts(overlays: readonly OverlayMount[], policy: SourcePolicy): Promise<OverlayMount[]> {
  // The image is not there yet; see imageOverlays().
  const resolve = async (source: string) => (inImage(source) ? source : await resolveSource("overlay", source, policy));
  return Promise.all(
    overlays.map(async (mount) => ({
      ...mount,
      lower: await Promise.all(mount.lower.map(resolve)),
      upper: mount.upper === undefined ? undefined : await resolve(mount.upper),
    })),
  );
}

/**
 * The log directory in the allocation directory. Nomad's log collector opens files in it as root, and the driver opens the FIFOs of the
 * logs: no container may put anything else there (since 2.0.1 Nomad's own Docker driver mounts it read-only too).
 */
const LOGS = "logs";

/**
 * The task's own directories as they appear in the container: at the paths in the variables NOMAD_ALLOC_DIR and so on. A
 * directory is omitted if the job mounts something else at its path.
 *
 * @param taken targets of the job's own mounts, simplified
 * @throws ConfigError if one of them is not where Nomad created it
 */
export async function ownMounts(config: TaskConfig, taken: readonly string[]): Promise<MountRequest[]> {
  const directories = taskDirectories(config);
  const allocation = await realpath(config.allocDir).catch(() => config.allocDir);
  const own = [
    { source: directories.alloc, target: config.env["NOMAD_ALLOC_DIR"] ?? "/alloc" },
    { source: directories.local, target: config.env["NOMAD_TASK_DIR"] ?? "/local" },
    { source: directories.secrets, target: config.env["NOMAD_SECRETS_DIR"] ?? "/secrets" },
  ].filter(({ target }) => !taken.includes(simplify(target)));
  const mounts: MountRequest[] = [];
  for (const { source, target } of own) {
    refuseTarget(target);
    const expected = await ownDirectory(config, source, allocation);
    if (expected === undefined) throw new ConfigError(`The task's directory ${source} does not exist on this client.`);
    mounts.push({ source: expected, target, readOnly: false });
    if (source !== directories.alloc || taken.includes(simplify(join(target, LOGS)))) continue;
    const logs = await ownDirectory(config, join(source, LOGS), allocation);
    if (logs !== undefined) mounts.push({ source: logs, target: join(target, LOGS), readOnly: true, shield: true });
  }
  return mounts;
}

/**
 * The mounts that are volumes of the job. An agent that names volumes (see Lifecycle.initialized), or that named one of these
 * mounts, leaves the name empty for other mounts, such as those of a device plugin. For older agents every mount counts as a volume.
 */
export function volumesAmong(mounts: readonly Mount[], named: boolean): readonly Mount[] {
  const distinguishable = named || mounts.some(({ requestName }) => requestName !== "");
  return distinguishable ? mounts.filter(({ requestName }) => requestName !== "") : mounts;
}

/** A note for each mount whose SELinux label is not applied: systemd-nspawn does not relabel bind mounts (systemd-nspawn(1)). */
export function labelNotes(mounts: readonly Pick<Mount, "selinuxLabel" | "taskPath">[]): readonly string[] {
  return mounts
    .filter(({ selinuxLabel }) => selinuxLabel !== "")
    .map(
      ({ selinuxLabel, taskPath }) =>
        `The SELinux label ${JSON.stringify(selinuxLabel)} of the volume at ${taskPath} is not applied: label the volume's directory on the client (chcon, semanage fcontext).`,
    );
}

/**
 * The path without symlinks of a directory that Nomad created; undefined if it does not exist.
 *
 * @throws ConfigError if a symlink is in its place
 */
async function ownDirectory(config: TaskConfig, source: string, allocation: string): Promise<string | undefined> {
  const expected = join(allocation, relative(config.allocDir, source));
  const real = await realpath(source).catch(() => undefined);
  // A task that has the parent directory mounted can replace it by a symlink and be restarted.
  if (real === expected || real === undefined) return real;
  throw new ConfigError(`The task's directory ${source} was replaced by a symlink (to ${real}): it is not mounted.`);
}

/**
 * The volumes that a job mounts, and the mounts of device plugins.
 *
 * @param policy whether the operator allows volumes, and whether the agent names them
 * @param taken targets of the job's own mounts, simplified
 * @throws ConfigError if the operator disabled volumes, or one cannot be mounted
 */
export async function volumeMounts(
  wanted: readonly Mount[],
  policy: { readonly allowed: boolean; readonly named: boolean },
  taken: readonly string[],
): Promise<TaskMount[]> {
  const [refused] = policy.allowed ? [] : volumesAmong(wanted, policy.named);
  if (refused !== undefined) {
    const volume = refused.requestName === "" ? "" : ` ${JSON.stringify(refused.requestName)}`;
    throw new ConfigError(
      `The volume${volume} at ${JSON.stringify(refused.taskPath)} is not allowed: volumes are disabled on this client (volumes = false in the nspawn plugin's config).`,
    );
  }
  const targets = wanted.map(({ taskPath }) => simplify(taskPath));
  const twice = targets.find((target, index) => taken.includes(target) || targets.indexOf(target) !== index);
  if (twice !== undefined) {
    throw new ConfigError(
      `A volume_mount and another mount of the task both mount something at ${JSON.stringify(twice)}: one path can be mounted once.`,
    );
  }
  const mounts: TaskMount[] = [];
  for (const mount of wanted) mounts.push(await volumeMount(mount));
  return mounts;
}

async function volumeMount({ hostPath, taskPath, readonly, propagationMode }: Mount): Promise<TaskMount> {
  refuseTarget(taskPath);
  const source = await realpath(hostPath).catch((error: unknown) => {
    throw new ConfigError(
      `The volume for ${JSON.stringify(taskPath)} cannot be mounted: ${hostPath} does not exist on this client.`,
      { cause: error },
    );
  });
  return { source, target: taskPath, readOnly: readonly, ...propagation(propagationMode) };
}

function propagation(mode: string): Pick<TaskMount, "propagation"> {
  if (mode === "") return {};
  if (mode === "private" || mode === "host-to-task" || mode === "bidirectional") return { propagation: mode };
  throw new ConfigError(
    `The propagation_mode "${mode}" of a volume_mount is unknown: use "private" or "host-to-task".`,
  );
}

function refuseTarget(target: string): void {
  if (isAbsolute(target) && !target.includes("\0")) return;
  throw new ConfigError(
    `Nothing can be mounted at ${JSON.stringify(target)}: it must be an absolute path in the container.`,
  );
}
