import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { type Features, MOUNT_STACK_SINCE } from "../nspawn/features";
import { namespaced } from "../values/private-users";

/** The end of the name of a directory that describes a stack of mounts (systemd.mstack(7)). */
export const MOUNT_STACK_SUFFIX = ".mstack";

/**
 * Refuses a stack of mounts that systemd-nspawn would refuse: it has no ID mapping for one except with managed user namespaces, whose
 * images belong to IDs of their own, and makes no copy (measured with 262).
 *
 * @param inTask whether it is in the task's directory
 * @throws ConfigError
 */
export function refuseMountStack(options: TaskOptions, features: Features, inTask: boolean): void {
  const refuse = (why: string) =>
    new ConfigError(`The image ${JSON.stringify(options.image)} is a stack of mounts (systemd.mstack(7)): ${why}.`);
  // Its entries may be symlinks to any path of the client.
  if (inTask) throw refuse("one in the task's directory is not allowed, because it can show any file of the client");
  if (!features.mountStacks) {
    throw refuse(`it needs systemd-nspawn ${MOUNT_STACK_SINCE}, and this client has ${features.version}`);
  }
  if (namespaced(options)) {
    throw refuse("systemd-nspawn cannot map its owners into a user namespace, so it needs user_namespacing = false");
  }
  if (options.ephemeral) {
    throw refuse(
      'systemd-nspawn cannot copy it (ephemeral = true): set volatile = "overlay", or leave out its directory rw',
    );
  }
}
