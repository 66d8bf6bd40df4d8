import { ptr } from "bun:ffi";
import { constants } from "node:fs";
import { O_CLOEXEC } from "./constants";
import { libc } from "./ffi";

const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const FIONREAD = 0x541b;

/**
 * A pipe whose ends no other process inherits. Bun.spawn's "pipe" is a socket, and a container cannot reopen a socket
 * as /dev/stderr.
 *
 * @throws Error when the process or host is out of file descriptors
 */
export function createPipe(): { readonly readEnd: number; readonly writeEnd: number } {
  const ends = new Int32Array(2);
  if (libc().pipe2(ptr(ends), O_CLOEXEC) !== 0) {
    throw new Error("Cannot create a pipe: the limit of open files is reached (see `ulimit -n` and fs.file-max).");
  }
  const [readEnd = -1, writeEnd = -1] = ends;
  return { readEnd, writeEnd };
}

/** Bytes that can be read now from a pipe or FIFO; 0 if the kernel does not report it. */
export function unreadBytes(fd: number): number {
  const count = new Int32Array(1);
  return libc().ioctl(fd, FIONREAD, ptr(count)) === 0 ? (count[0] ?? 0) : 0;
}

/** Reads and writes through this descriptor fail instead of blocking; the other end is not affected. */
export function setNonBlocking(fd: number): void {
  libc().fcntl(fd, F_SETFL, libc().fcntl(fd, F_GETFL, 0) | constants.O_NONBLOCK);
}

/** Another descriptor of the same open file, which no child inherits; undefined if no descriptors are left. */
export function duplicate(fd: number): number | undefined {
  const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy >= 0 ? copy : undefined;
}
