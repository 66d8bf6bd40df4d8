import { ptr } from "bun:ffi";
import { constants } from "node:fs";
import { O_CLOEXEC, SYS } from "./constants";
import { cString, libc } from "./ffi";

const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const F_SETPIPE_SZ = 1031;
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

/**
 * Lets a pipe hold more than the usual 64 KiB (fcntl(2), F_SETPIPE_SZ), so that its two processes wait less for each other. Without
 * CAP_SYS_RESOURCE the kernel may refuse; the pipe keeps its size then.
 */
export function enlargePipe(fd: number, bytes: number): void {
  libc().fcntl(fd, F_SETPIPE_SZ, bytes);
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

const IN_ACCESS = 0x1;
const IN_OPEN = 0x20;

/** An inotify descriptor that reports when one of the paths is opened or read; undefined if inotify is exhausted. */
export function watchReaders(paths: readonly string[]): number | undefined {
  const fd = libc().inotify_init1(O_CLOEXEC);
  if (fd < 0) return undefined;
  for (const path of paths) libc().inotify_add_watch(fd, cString(path), IN_ACCESS | IN_OPEN);
  return fd;
}

const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TIOCSWINSZ = 0x5414;
const TERMINAL_FLAGS = constants.O_RDWR | constants.O_NOCTTY | O_CLOEXEC;

/** The terminal of a pseudoterminal master (ioctl_tty(2), TIOCGPTPEER); undefined if it has none. */
export function terminalOf(master: number): number | undefined {
  const locked = new Int32Array([0]);
  if (libc().ioctl(master, TIOCSPTLCK, ptr(locked)) !== 0) return undefined;
  const fd = Number(libc().syscall(SYS.ioctl, master, TIOCGPTPEER, TERMINAL_FLAGS, 0, 0));
  return fd >= 0 ? fd : undefined;
}

/** Sets the window size of a terminal, in characters (ioctl_tty(2), TIOCSWINSZ). */
export function setTerminalSize(fd: number, rows: number, columns: number): void {
  libc().ioctl(fd, TIOCSWINSZ, ptr(Uint16Array.of(rows, columns, 0, 0)));
}
