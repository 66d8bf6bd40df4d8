import { ptr } from "bun:ffi";
import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { isMissing } from "../lib/errors";
import { libc } from "./ffi";
import { SYS } from "./syscalls";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const F_OFD_GETLK = 36;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Bytes of struct flock on 64-bit machines (fcntl.h): type and whence, start, length, PID. */
const FLOCK_SIZE = 32;

/**
 * Takes the lock of a file (flock(2)) without waiting, until the last copy of the descriptor is closed; false if a conflicting
 * lock is held.
 */
export function tryLock(fd: number, kind: "shared" | "exclusive" = "exclusive"): boolean {
  return libc().flock(fd, (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0;
}

/** Whether another process holds a lock on any part of a file (fcntl(2), F_OFD_GETLK); flock(2) locks are separate. */
export function isFileLocked(fd: number): boolean {
  const lock = new DataView(new ArrayBuffer(FLOCK_SIZE));
  lock.setInt16(0, F_WRLCK, true);
  if (Number(libc().syscall(SYS.fcntl, fd, F_OFD_GETLK, ptr(lock), 0, 0)) !== 0) return false;
  return lock.getInt16(0, true) !== F_UNLCK;
}

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
