import { ptr } from "bun:ffi";
import { closeSync, fstatSync, openSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { pollUntil } from "../lib/deadline";
import { inDirectory, removeIfEmpty } from "../lib/files";
import { SYS } from "./constants";
import { libc } from "./ffi";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Bytes of struct flock on 64-bit machines (fcntl.h): type and whence, start, length, PID. */
const FLOCK_SIZE = 32;

/**
 * Takes the lock of a file (flock(2)) without waiting, until the last copy of the descriptor is closed; false if a conflicting
 * lock is held.
 */
function tryLock(fd: number, kind: "shared" | "exclusive"): boolean {
  return libc().flock(fd, (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0;
}

/** Struct flock for a lock on a whole file. */
function wholeFile(kind: "shared" | "exclusive"): DataView {
  const lock = new DataView(new ArrayBuffer(FLOCK_SIZE));
  lock.setInt16(0, kind === "shared" ? F_RDLCK : F_WRLCK, true);
  return lock;
}

/**
 * Takes the lock that systemd's programs take of a file (fcntl(2), F_OFD_SETLK; lock-util.c), without waiting, until the last copy
 * of the descriptor is closed; false if a conflicting lock is held. A lock that the descriptor has is changed. Locks of flock(2) are separate.
 *
 * @param fd open for reading and writing
 */
export function tryRecordLock(fd: number, kind: "shared" | "exclusive" = "exclusive"): boolean {
  return Number(libc().syscall(SYS.fcntl, fd, F_OFD_SETLK, ptr(wholeFile(kind)), 0, 0)) === 0;
}

/** Whether another process holds a lock on any part of a file (fcntl(2), F_OFD_GETLK); flock(2) locks are separate. */
export function isFileLocked(fd: number): boolean {
  const lock = wholeFile("exclusive");
  if (Number(libc().syscall(SYS.fcntl, fd, F_OFD_GETLK, ptr(lock), 0, 0)) !== 0) return false;
  return lock.getInt16(0, true) !== F_UNLCK;
}

/** A file's lock, held until it is disposed of, or this process and all that inherited the descriptor have ended. */
export interface FileLock extends Disposable {
  readonly fd: number;
}

/**
 * Takes the lock of an open file or directory without waiting, and takes ownership of the descriptor.
 *
 * @param path by which it was opened: if it was removed or replaced meanwhile, the next process would lock another file
 * @returns undefined, with the descriptor closed, if another process holds the lock, or the path is that of another file by now
 */
export function lockOpened(fd: number, path: string, kind: "shared" | "exclusive"): FileLock | undefined {
  using open = new DisposableStack();
  open.adopt(fd, closeSync);
  if (!tryLock(fd, kind) || !isSameFile(path, fd)) return undefined;
  const kept = open.move();
  return { fd, [Symbol.dispose]: () => kept.dispose() };
}

/** Takes the lock of a file, which is created if missing; undefined if another process holds it. */
export function tryFileLock(path: string, kind: "shared" | "exclusive"): FileLock | undefined {
  return lockOpened(openSync(path, "a", 0o600), path, kind);
}

/** The kernel does not notify about released locks. */
const PACE = { firstMs: 2, longestMs: 100 };

/**
 * Takes an exclusive lock that no process is using; undefined if another process keeps it. It is tried for a moment: a process that has just been started has copies of its parent's descriptors, and with them locks that the parent
 * releases meanwhile, until its program runs (execve(2) lets the parent of vfork(2) go on before it closes them).
 */
export function unusedLock(take: () => FileLock | undefined): Promise<FileLock | undefined> {
  return pollUntil(take, { firstMs: 1, longestMs: 20, timeoutMs: 100 });
}

/** Takes the lock of a file, which is created if missing, as unusedLock() does. */
export function unusedFileLock(path: string): Promise<FileLock | undefined> {
  return unusedLock(() => tryFileLock(path, "exclusive"));
}

/** Waits for the lock of a file, which is created if missing. @throws what `signal` aborts with */
export function fileLock(path: string, kind: "shared" | "exclusive", signal?: AbortSignal): Promise<FileLock> {
  return pollUntil(() => tryFileLock(path, kind), { ...PACE, signal });
}

/** A lock that is removed with its file, and with it the directory and the one above it if they are empty. */
export interface NamedLock extends AsyncDisposable {
  readonly file: FileLock;
}

/** Waits for the lock of a name in a directory of locks, which exists while one is held. @throws what `signal` aborts with */
export async function namedLock(directory: string, name: string, signal: AbortSignal): Promise<NamedLock> {
  const path = join(directory, name);
  const file = await inDirectory(directory, () => fileLock(path, "exclusive", signal));
  return {
    file,
    [Symbol.asyncDispose]: async () => {
      rmSync(path, { force: true });
      file[Symbol.dispose]();
      await removeLockDirectory(directory);
    },
  };
}

/** Removes a directory of locks, and the one above it, if they are empty. */
export async function removeLockDirectory(directory: string): Promise<void> {
  for (const each of [directory, dirname(directory)]) await removeIfEmpty(each);
}

/** Whether a path is that of an open file, and not of another one that has replaced it. */
export function isSameFile(path: string, fd: number): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  const opened = fstatSync(fd);
  return named !== undefined && named.ino === opened.ino && named.dev === opened.dev;
}
