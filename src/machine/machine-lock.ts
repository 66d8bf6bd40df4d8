import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inDirectory, removeIfEmpty } from "../lib/files";
import { fileLock } from "../linux/flock";
import { LaunchError } from "../supervisor/supervisor";

/**
 * The lock of a machine, which a plugin process holds while it starts the machine's container or removes it: the agent of a killed agent's
 * tasks may have started another plugin by then, while the first one still cleans up what has the same name.
 */

const LOCKS = "/run/nomad-driver-nspawn/locks";

/** The longest that another process may take, in milliseconds: its start is cancelled with its agent's connection. */
const WAIT_MS = 120_000;

/**
 * Waits until no other process starts or removes a machine, and keeps others from it until the lock is disposed of.
 *
 * @throws LaunchError if that takes too long, and what `signal` aborts with
 */
export async function lockMachine(machine: string, signal?: AbortSignal, locks = LOCKS): Promise<AsyncDisposable> {
  const path = join(locks, machine);
  const late = AbortSignal.timeout(WAIT_MS);
  const until = signal === undefined ? late : AbortSignal.any([signal, late]);
  try {
    const file = await inDirectory(locks, () => fileLock(path, "exclusive", until));
    return {
      [Symbol.asyncDispose]: async () => {
        await rm(path, { force: true });
        file[Symbol.dispose]();
        for (const directory of [locks, dirname(locks)]) await removeIfEmpty(directory);
      },
    };
  } catch (error) {
    if (!late.aborted || signal?.aborted === true) throw error;
    const message = `Another process of the driver has been starting or removing the container ${machine} for ${WAIT_MS / 1000} seconds; see its log.`;
    throw new LaunchError(message, { recoverable: true, cause: error });
  }
}
