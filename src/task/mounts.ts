import { realpath } from "node:fs/promises";
import { isAbsolute, join, resolve, sep } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { ConfigError } from "../config/config-error";
import { type OverlayMount, splitBindTarget } from "../config/mounts";
import type { TaskOptions } from "../config/options";
import type { MountRequest } from "./owner-mapping";

/** The directories that Nomad creates for a task (nomad's client/allocdir). */
export interface TaskDirectories {
  readonly task: string;
  readonly alloc: string;
  readonly local: string;
  readonly secrets: string;
}

/** The paths of a task's directories. */
export function taskDirectories(config: Pick<TaskConfig, "allocDir" | "name">): TaskDirectories {
  const task = join(config.allocDir, config.name);
  return { task, alloc: join(config.allocDir, "alloc"), local: join(task, "local"), secrets: join(task, "secrets") };
}

/** Policy on the host paths that a job may mount. */
export interface SourcePolicy {
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

/**
 * The mounts of `overlay` with their directories resolved.
 *
 * @throws ConfigError as resolveSource() does
 */
export async function overlayMounts(overlays: readonly OverlayMount[], policy: SourcePolicy): Promise<OverlayMount[]> {
  const resolve = (source: string) => resolveSource("overlay", source, policy);
  return Promise.all(
    overlays.map(async (mount) => ({
      ...mount,
      lower: await Promise.all(mount.lower.map(resolve)),
      upper: mount.upper === undefined ? undefined : await resolve(mount.upper),
    })),
  );
}
