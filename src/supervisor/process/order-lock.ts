import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import { isMissing } from "../../host/errno";
import { tryLock } from "../../host/libc";
import type { StateFiles } from "./state-files";

const FIRST_DELAY_MS = 1;
const LONGEST_DELAY_MS = 50;

/**
 * The lock of a launch request: its holder controls the container. A shim holds it as long as it lives; a plugin takes it to
 * make sure that no shim is running or starting.
 */
export interface OrderLock extends Disposable {}

/**
 * Takes the lock of a launch request; undefined if another process has it, or if the request does not exist (any more): a request
 * that was removed while it was being opened must not be carried out.
 */
export function lockOrder(files: StateFiles): OrderLock | undefined {
  let fd: number;
  try {
    // Closed on exec: systemd-nspawn must not keep the lock.
    fd = openSync(files.order, "r");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  if (tryLock(fd) && fstatSync(fd).nlink > 0) return { [Symbol.dispose]: () => closeSync(fd) };
  closeSync(fd);
  return undefined;
}

/**
 * Waits until a starting shim has reported its container, or is gone.
 *
 * @param reported whether it has
 * @returns the lock if it is gone
 */
export async function lockOrAwait(
  files: StateFiles,
  reported: () => boolean,
  timeoutMs: number,
): Promise<OrderLock | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (let delay = FIRST_DELAY_MS; !reported(); delay = Math.min(delay * 2, LONGEST_DELAY_MS)) {
    const lock = lockOrder(files);
    // Without a launch request no shim can start.
    if (lock !== undefined || !existsSync(files.order) || performance.now() >= deadline) return lock;
    await Bun.sleep(delay);
  }
  return undefined;
}
