import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ifThere, ignoreMissing } from "../lib/errors";
import { namedLock, removeLockDirectory, tryFileLock } from "../linux/flock";
import { LaunchError } from "../supervisor/supervisor";

/**
 * The lock of a machine, which a plugin process holds while it starts the machine's container or removes it. An agent that was killed and
 * started again may use another plugin process by then, while the first one still removes what it made for the same task.
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
  const late = AbortSignal.timeout(WAIT_MS);
  const until = signal === undefined ? late : AbortSignal.any([signal, late]);
  try {
    return await namedLock(locks, machine, until);
  } catch (error) {
    if (!late.aborted || signal?.aborted === true) throw error;
    const message = `Another process of the driver has been starting or removing the container ${machine} for ${WAIT_MS / 1000} seconds; see its log.`;
    throw new LaunchError(message, { recoverable: true, cause: error });
  }
}

/** Removes the files of locks that killed processes had. */
export async function removeStaleLocks(locks = LOCKS): Promise<void> {
  for (const name of (await readdir(locks).catch(ignoreMissing)) ?? []) {
    const path = join(locks, name);
    using lock = ifThere(() => tryFileLock(path, "exclusive"), undefined);
    if (lock !== undefined) await rm(path, { force: true });
  }
  await removeLockDirectory(locks);
}
