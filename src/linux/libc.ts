import { dlopen, FFIType, ptr } from "bun:ffi";
import { closeSync, writeFileSync } from "node:fs";

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const O_RDWR = 2;
const O_NOCTTY = 0o400;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const F_OFD_GETLK = 36;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Bytes of struct flock on 64-bit machines (fcntl.h): type and whence, start, length, PID. */
const FLOCK_SIZE = 32;
const MFD_CLOEXEC = 1;
const MFD_EXEC = 0x10;
const RESOLVE_NO_MAGICLINKS = 2n;
const RESOLVE_NO_SYMLINKS = 0x04n;
const RESOLVE_IN_ROOT = 0x10n;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TIOCSWINSZ = 0x5414;
const FIONREAD = 0x541b;
/** System call numbers above 423 are the same on every architecture. */
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;
const SYS_IOCTL = 16;
const SYS_FCNTL = 72;
const SYS_BPF = 321;
const SYS_OPENAT2 = 437;
const SYS_OPEN_TREE = 428;
const SYS_STATX = 332;
const SYS_MOUNT_SETATTR = 442;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_INO = 0x100;
/** Size of struct statx, and the offsets of its inode and device numbers (linux/stat.h). */
const STATX_SIZE = 256;
const STATX = { inode: 32, major: 136, minor: 140 } as const;
const OPEN_TREE_CLONE = 1;
const MOUNT_ATTR_IDMAP = 0x100000n;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const IN_ACCESS = 0x1;
const IN_OPEN = 0x20;
/** _IOWR(0xFF, 11, struct pidfd_info) with the structure's first published size, 64 bytes (linux/pidfd.h). */
const PIDFD_GET_INFO = 0xc040ff0b;
const PIDFD_INFO_SIZE = 64;
const PIDFD_INFO_EXIT = 1n << 3n;
const PIDFD_INFO_EXIT_CODE_OFFSET = 60;

type Libc = ReturnType<typeof open>;
let libc: Libc | undefined;

function open() {
  return dlopen("libc.so.6", {
    umount2: { args: [FFIType.cstring, FFIType.i32], returns: FFIType.i32 },
    pipe2: { args: [FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
    ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
    syscall: { args: Array.from({ length: 6 }, () => FFIType.i64), returns: FFIType.i64 },
    flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    memfd_create: { args: [FFIType.cstring, FFIType.u32], returns: FFIType.i32 },
    inotify_init1: { args: [FFIType.i32], returns: FFIType.i32 },
    inotify_add_watch: { args: [FFIType.i32, FFIType.cstring, FFIType.u32], returns: FFIType.i32 },
  }).symbols;
}

/** Opened on first use: a plugin that only prints its schema never needs it. */
function symbols(): Libc {
  libc ??= open();
  return libc;
}

function cString(text: string): Buffer {
  if (text.includes("\0")) throw new Error(`A path must not contain a NUL character: ${JSON.stringify(text)}.`);
  return Buffer.from(`${text}\0`);
}

/**
 * Takes the lock of a file (flock(2)) without waiting, until the last copy of the descriptor is closed; false if a conflicting
 * lock is held.
 */
export function tryLock(fd: number, kind: "shared" | "exclusive" = "exclusive"): boolean {
  return symbols().flock(fd, (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0;
}

/** Whether another process holds a lock on any part of a file (fcntl(2), F_OFD_GETLK); flock(2) locks are separate. */
export function isFileLocked(fd: number): boolean {
  const lock = new DataView(new ArrayBuffer(FLOCK_SIZE));
  lock.setInt16(0, F_WRLCK, true);
  if (Number(symbols().syscall(SYS_FCNTL, fd, F_OFD_GETLK, ptr(lock), 0, 0)) !== 0) return false;
  return lock.getInt16(0, true) !== F_UNLCK;
}

/** Detaches the topmost mount at a path without following a symlink there; false if that failed. */
export function detachMount(path: string): boolean {
  return symbols().umount2(cString(path), MNT_DETACH | UMOUNT_NOFOLLOW) === 0;
}

/**
 * A pipe whose ends no other process inherits. Bun.spawn's "pipe" is a socket, and a container cannot reopen a socket
 * as /dev/stderr.
 *
 * @throws Error when the process or host is out of file descriptors
 */
export function createPipe(): { readonly readEnd: number; readonly writeEnd: number } {
  const ends = new Int32Array(2);
  if (symbols().pipe2(ptr(ends), O_CLOEXEC) !== 0) {
    throw new Error("Cannot create a pipe: the limit of open files is reached (see `ulimit -n` and fs.file-max).");
  }
  const [readEnd = -1, writeEnd = -1] = ends;
  return { readEnd, writeEnd };
}

/** Bytes that can be read now from a pipe or FIFO; 0 if the kernel does not report it. */
export function unreadBytes(fd: number): number {
  const count = new Int32Array(1);
  return symbols().ioctl(fd, FIONREAD, ptr(count)) === 0 ? (count[0] ?? 0) : 0;
}

/** A pidfd: it keeps referring to this process when the PID is reused; undefined if no such process exists. */
export function openPidfd(pid: number): number | undefined {
  const fd = Number(symbols().syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0));
  return fd >= 0 ? fd : undefined;
}

/** Sends a signal through a pidfd; false if the process is gone. */
export function signalPidfd(pidfd: number, signal: number): boolean {
  return Number(symbols().syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0, 0)) === 0;
}

/**
 * The wait status of a process that was reaped by its parent, from a pidfd opened while it lived.
 * Undefined on Linux before 6.15, and while the process is not reaped.
 */
export function exitStatusOfPidfd(pidfd: number): number | undefined {
  const info = new DataView(new ArrayBuffer(PIDFD_INFO_SIZE));
  info.setBigUint64(0, PIDFD_INFO_EXIT, true);
  if (symbols().ioctl(pidfd, PIDFD_GET_INFO, ptr(info)) !== 0) return undefined;
  if ((info.getBigUint64(0, true) & PIDFD_INFO_EXIT) === 0n) return undefined;
  return info.getInt32(PIDFD_INFO_EXIT_CODE_OFFSET, true);
}

/**
 * An executable file in memory, as a descriptor that no child inherits.
 *
 * @throws Error if the host has no memory or descriptors left, or forbids it (sysctl vm.memfd_noexec)
 */
export function memoryFile(name: string, content: Uint8Array): number {
  // Kernels before 6.3 do not know MFD_EXEC and do not need it.
  const create = (flags: number) => symbols().memfd_create(cString(name), MFD_CLOEXEC | flags);
  let fd = create(MFD_EXEC);
  if (fd < 0) fd = create(0);
  if (fd < 0) throw new Error("Cannot create a file in memory: see `ulimit -n` and the sysctl vm.memfd_noexec.");
  try {
    writeFileSync(fd, content);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Opens a path as seen by a process whose root is the directory behind `root`: symlinks, absolute or not, stay inside
 * (openat2(2)). Undefined if no such file exists.
 */
export function openInRoot(root: number, path: string, flags: number): number | undefined {
  return openat2(root, path, flags, RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT);
}

/**
 * Opens an absolute path without following symlinks (openat2(2)). Undefined if the file does not exist, a component is a symlink, or a
 * seccomp filter or a kernel before 5.6 lacks the call.
 */
export function openWithoutSymlinks(path: string, flags: number): number | undefined {
  return openat2(AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS);
}

/** A descriptor that no child inherits; undefined if the kernel refuses it, for any reason. */
function openat2(directory: number, path: string, flags: number, resolve: bigint): number | undefined {
  const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, resolve]);
  const name = cString(path);
  const fd = Number(symbols().syscall(SYS_OPENAT2, directory, ptr(name), ptr(how), how.byteLength, 0));
  return fd >= 0 ? fd : undefined;
}

/**
 * Device and inode of the file at a path, from the kernel's cache: the file system, which may be a container's and hang,
 * is not queried (statx(2), AT_STATX_DONT_SYNC). Undefined if no such file exists.
 */
export function inodeInMemory(path: string): string | undefined {
  const name = cString(path);
  const found = new DataView(new ArrayBuffer(STATX_SIZE));
  const result = symbols().syscall(SYS_STATX, AT_FDCWD, ptr(name), AT_STATX_DONT_SYNC, STATX_INO, ptr(found));
  if (Number(result) !== 0) return undefined;
  const device = `${found.getUint32(STATX.major, true)}:${found.getUint32(STATX.minor, true)}`;
  return `${device}:${found.getBigUint64(STATX.inode, true)}`;
}

/** Reads and writes through this descriptor fail instead of blocking; the other end is not affected. */
export function setNonBlocking(fd: number): void {
  symbols().fcntl(fd, F_SETFL, symbols().fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
}

/** Another descriptor of the same open file, which no child inherits; undefined if no descriptors are left. */
export function duplicate(fd: number): number | undefined {
  const copy = symbols().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy >= 0 ? copy : undefined;
}

/** The terminal of a pseudoterminal master (ioctl_tty(2), TIOCGPTPEER); undefined if it has none. */
export function terminalOf(master: number): number | undefined {
  const locked = new Int32Array([0]);
  if (symbols().ioctl(master, TIOCSPTLCK, ptr(locked)) !== 0) return undefined;
  const fd = Number(symbols().syscall(SYS_IOCTL, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC, 0, 0));
  return fd >= 0 ? fd : undefined;
}

/** Sets the window size of a terminal, in characters (ioctl_tty(2), TIOCSWINSZ). */
export function setTerminalSize(fd: number, rows: number, columns: number): void {
  symbols().ioctl(fd, TIOCSWINSZ, ptr(Uint16Array.of(rows, columns, 0, 0)));
}

/** An inotify descriptor that reports when one of the paths is opened or read; undefined if inotify is exhausted. */
export function watchReaders(paths: readonly string[]): number | undefined {
  const fd = symbols().inotify_init1(O_CLOEXEC);
  if (fd < 0) return undefined;
  for (const path of paths) symbols().inotify_add_watch(fd, cString(path), IN_ACCESS | IN_OPEN);
  return fd;
}

/**
 * A detached copy of the mount at a path, as a descriptor; it is unmounted when the descriptor is closed (open_tree(2)).
 * Undefined if the kernel refuses it.
 */
export function detachedMount(path: string): number | undefined {
  const name = cString(path);
  const fd = Number(symbols().syscall(SYS_OPEN_TREE, AT_FDCWD, ptr(name), OPEN_TREE_CLONE | O_CLOEXEC, 0, 0));
  return fd >= 0 ? fd : undefined;
}

/**
 * Maps the owners of a detached mount's files by a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP); false if the kernel or
 * file system cannot.
 */
export function mapMountOwners(mount: number, userNamespace: number): boolean {
  const attributes = new BigUint64Array([MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(userNamespace)]);
  const here = cString("");
  return (
    Number(
      symbols().syscall(SYS_MOUNT_SETATTR, mount, ptr(here), AT_EMPTY_PATH, ptr(attributes), attributes.byteLength),
    ) === 0
  );
}

/** bpf(2) with its attributes; returns its result, usually a descriptor, or undefined after an error. */
export function bpf(command: number, attributes: Uint8Array): number | undefined {
  const result = Number(symbols().syscall(SYS_BPF, command, ptr(attributes), attributes.length, 0, 0));
  return result >= 0 ? result : undefined;
}

/** The address of a buffer, for attributes of a call; the caller keeps the buffer alive until the call returns. */
export function pointerTo(bytes: Uint8Array): bigint {
  return BigInt(ptr(bytes));
}
