import { realpath } from "node:fs/promises";
import { isAbsolute, join, resolve, sep } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { ConfigError } from "../config/config-error";
import type { TaskOptions } from "../config/options";
import type { TaskMount } from "../nspawn/arguments";

/** The directories Nomad makes for a task (nomad's client/allocdir). */
export interface TaskDirectories {
  readonly task: string;
  readonly alloc: string;
  readonly local: string;
  readonly secrets: string;
}

/** Where Nomad put the directories of a task. */
export function taskDirectories(config: Pick<TaskConfig, "allocDir" | "name">): TaskDirectories {
  const task = join(config.allocDir, config.name);
  return { task, alloc: join(config.allocDir, "alloc"), local: join(task, "local"), secrets: join(task, "secrets") };
}

/**
 * The task's own directories and its volumes, as they appear in the container: the directories at the paths that the
 * variables of the same names tell the task.
 *
 * @param volumes whether the operator allows volumes
 * @throws ConfigError when the job mounts volumes that the operator forbids
 */
export function taskMounts(config: TaskConfig, volumes: boolean): TaskMount[] {
  const directories = taskDirectories(config);
  if (!volumes && config.mounts.length > 0) {
    throw new ConfigError(
      "Volumes are disabled on this client (volumes = false in the nspawn plugin's config), so volume_mount cannot be used.",
    );
  }
  const own = [
    { source: directories.alloc, target: config.env["NOMAD_ALLOC_DIR"] ?? "/alloc" },
    { source: directories.local, target: config.env["NOMAD_TASK_DIR"] ?? "/local" },
    { source: directories.secrets, target: config.env["NOMAD_SECRETS_DIR"] ?? "/secrets" },
  ];
  return [
    ...own.map((mount) => ({ ...mount, readOnly: false })),
    ...config.mounts.map(({ hostPath, taskPath, readonly, propagationMode }) => ({
      source: hostPath,
      target: taskPath,
      readOnly: readonly,
      ...propagation(propagationMode),
    })),
  ];
}

function propagation(mode: string): Pick<TaskMount, "propagation"> {
  if (mode === "") return {};
  if (mode === "private" || mode === "host-to-task" || mode === "bidirectional") return { propagation: mode };
  throw new ConfigError(
    `The propagation_mode "${mode}" of a volume_mount is unknown: use "private" or "host-to-task".`,
  );
}

/** What decides which paths of the host a job may mount. */
export interface SourcePolicy {
  readonly taskDirectory: string;
  /** Whether absolute paths, anywhere on the host, are allowed (allow_privileged_binds). */
  readonly privileged: boolean;
}

/**
 * A mount's source as an absolute path without symlinks. A relative one lies in the task directory, also after every
 * symlink in it was followed: an artifact must not lead a mount out.
 *
 * @throws ConfigError when it does not exist, leaves the task directory, or is absolute where that is not allowed
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
      `${option} "${source}" leads out of the task directory (to ${real}): a relative path must stay inside it.`,
    );
  }
  return real;
}

/**
 * The options with the sources of bind, bind_read_only and overlay resolved by resolveSource().
 *
 * @throws ConfigError as resolveSource() does
 */
export async function resolveSources(options: TaskOptions, policy: SourcePolicy): Promise<TaskOptions> {
  const map = async (option: string, binds: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(binds).map(
          async ([source, target]) => [await resolveSource(option, source, policy), target] as const,
        ),
      ),
    );
  const overlay = options.overlay.map(async (mount) => ({
    ...mount,
    lower: await Promise.all(mount.lower.map((source) => resolveSource("overlay", source, policy))),
    ...(mount.upper === undefined ? {} : { upper: await resolveSource("overlay", mount.upper, policy) }),
  }));
  return {
    ...options,
    bind: await map("bind", options.bind),
    bind_read_only: await map("bind_read_only", options.bind_read_only),
    overlay: await Promise.all(overlay),
  };
}
