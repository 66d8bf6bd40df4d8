import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import { isMissing } from "../../host/errno";
import { tryLock } from "../../host/libc";
import type { StateFiles } from "./state-files";

const FIRST_DELAY_MS = 1;
const LONGEST_DELAY_MS = 50;

/**
 * The lock of an order: whoever has it decides what becomes of the container. A supervising process holds it for as long as
 * it lives; a plugin takes it to know that there is no such process, not even one that is just beginning.
 */
export interface OrderLock extends Disposable {}

/**
 * Takes an order's lock; undefined where somebody else has it, or there is no such order (any more): one that was removed
 * while it was being opened must not be carried out.
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
 * Waits until a supervising process that is just beginning has told of its container, or is gone.
 *
 * @param told whether it has
 * @returns the lock where it is gone
 */
export async function lockOrAwait(
  files: StateFiles,
  told: () => boolean,
  timeoutMs: number,
): Promise<OrderLock | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (let delay = FIRST_DELAY_MS; !told(); delay = Math.min(delay * 2, LONGEST_DELAY_MS)) {
    const lock = lockOrder(files);
    // Without an order no such process can begin.
    if (lock !== undefined || !existsSync(files.order) || performance.now() >= deadline) return lock;
    await Bun.sleep(delay);
  }
  return undefined;
}
