import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { isMissing } from "../lib/errors";
import { tryLock } from "./libc";

const FIRST_DELAY_MS = 2;
const MAX_DELAY_MS = 100;

/** A file's lock, held until it is disposed of, or this process and all that inherited the descriptor have ended. */
export interface FileLock extends Disposable {
  readonly fd: number;
}

/** Takes the lock of a file, which is created if missing; undefined if another process holds it. */
export function tryFileLock(path: string, kind: "shared" | "exclusive"): FileLock | undefined {
  const fd = openSync(path, "a", 0o600);
  // If the file was removed while it was opened, the next process would lock another one.
  if (tryLock(fd, kind) && isSameFile(path, fd)) return { fd, [Symbol.dispose]: () => closeSync(fd) };
  closeSync(fd);
  return undefined;
}

/**
 * Waits for the lock of a file by polling, because the kernel does not notify about released locks.
 *
 * @throws what `signal` aborts with
 */
export async function fileLock(path: string, kind: "shared" | "exclusive", signal?: AbortSignal): Promise<FileLock> {
  for (let delay = FIRST_DELAY_MS; ; delay = Math.min(delay * 2, MAX_DELAY_MS)) {
    signal?.throwIfAborted();
    const lock = tryFileLock(path, kind);
    if (lock !== undefined) return lock;
    await Bun.sleep(delay);
  }
}

function isSameFile(path: string, fd: number): boolean {
  try {
    return statSync(path).ino === fstatSync(fd).ino;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
