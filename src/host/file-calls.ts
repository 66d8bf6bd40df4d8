import { dlopen, FFIType, ptr } from "bun:ffi";
import { errnoSymbol, lastErrno } from "./last-errno";

/** Calls about files that Node's interface does not have. */

/** A descriptor that only says where a file is (open(2)); Node's constants do not have it. */
export const O_PATH = 0o10000000;
const PR_SET_NO_NEW_PRIVS = 38;
const AT_FDCWD = -100;
const SYS_CAPSET = 126;
/** glibc has no function of that name before 2.33. */
const SYS_MKNODAT = 259;
/** _LINUX_CAPABILITY_VERSION_3 (linux/capability.h): 64 capabilities. */
export const CAPABILITY_VERSION_3 = 0x2008_0522;
/** glibc has a function for it since 2.28. */
const SYS_RENAMEAT2 = 316;
const RENAME_EXCHANGE = 2;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFREG = 0o100000;

/** Numbers of errors that are told apart here (errno(3)). */
export const ERRNO = { EPERM: 1, EEXIST: 17, ENODATA: 61, ENOTSUP: 95 } as const;

type Calls = ReturnType<typeof open>;
let library: Calls | undefined;

function open() {
  return dlopen("libc.so.6", {
    chroot: { args: [FFIType.cstring], returns: FFIType.i32 },
    mkdirat: { args: [FFIType.i32, FFIType.cstring, FFIType.u32], returns: FFIType.i32 },
    lsetxattr: {
      args: [FFIType.cstring, FFIType.cstring, FFIType.ptr, FFIType.u64, FFIType.i32],
      returns: FFIType.i32,
    },
    lgetxattr: { args: [FFIType.cstring, FFIType.cstring, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
    syncfs: { args: [FFIType.i32], returns: FFIType.i32 },
    prctl: { args: [FFIType.i32, FFIType.u64, FFIType.u64, FFIType.u64, FFIType.u64], returns: FFIType.i32 },
    syscall: { args: Array.from({ length: 6 }, () => FFIType.i64), returns: FFIType.i64 },
    ...errnoSymbol,
  }).symbols;
}

function calls(): Calls {
  library ??= open();
  return library;
}

/** A call that failed, with the kernel's number for why. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly errno: number;

  constructor(call: string, errno: number) {
    super(`${call} failed with error ${errno} (see errno -l)`);
    this.errno = errno;
  }
}

function must(call: string, result: number | bigint): void {
  if (result >= 0) return;
  throw new CallError(call, lastErrno(calls()));
}

function bytes(path: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(path), Buffer.of(0)]);
}

/** Opens the library now: for a process that will not find it any more. */
export function loadFileCalls(): void {
  calls();
}

/** Makes a directory the root of this process, and its working directory. @throws CallError */
export function enterRoot(directory: string): void {
  must("chroot", calls().chroot(bytes(directory)));
  process.chdir("/");
}

/** Makes a FIFO. @throws CallError */
export function makeFifo(path: string | Buffer, mode: number): void {
  must("mkfifo", makeNode(AT_FDCWD, path, S_IFIFO | mode));
}

/** Makes what overlayfs takes for "there is nothing here": a character device 0:0. @throws CallError */
export function makeWhiteout(path: string | Buffer): void {
  must("mknod", makeNode(AT_FDCWD, path, S_IFCHR));
}

/** Makes a directory in the one behind a descriptor; does nothing where anything is. @throws CallError */
export function makeDirectoryAt(directory: number, name: string, mode: number): void {
  unlessThere("mkdir", calls().mkdirat(directory, bytes(name), mode));
}

/** Makes an empty file in the directory behind a descriptor; does nothing where anything is. @throws CallError */
export function makeFileAt(directory: number, name: string, mode: number): void {
  unlessThere("mknod", makeNode(directory, name, S_IFREG | mode));
}

function makeNode(directory: number, path: string | Buffer, mode: number): bigint | number {
  const name = bytes(path);
  return calls().syscall(SYS_MKNODAT, directory, ptr(name), mode, 0, 0);
}

function unlessThere(call: string, result: bigint | number): void {
  try {
    must(call, result);
  } catch (error) {
    if (!(error instanceof CallError) || error.errno !== ERRNO.EEXIST) throw error;
  }
}

/** Sets an extended attribute, of a symlink itself where it is one. @throws CallError */
export function setAttribute(path: string | Buffer, name: string, value: Uint8Array): void {
  // A pointer to nothing cannot be taken.
  const content = value.length === 0 ? new Uint8Array(1) : value;
  must("setxattr", calls().lsetxattr(bytes(path), bytes(name), ptr(content), value.length, 0));
}

/** An extended attribute; undefined where there is none. @throws CallError */
export function getAttribute(path: string | Buffer, name: string): Uint8Array | undefined {
  const value = new Uint8Array(64 * 1024);
  const length = Number(calls().lgetxattr(bytes(path), bytes(name), ptr(value), value.length));
  try {
    must("getxattr", length);
  } catch (error) {
    if (error instanceof CallError && (error.errno === ERRNO.ENODATA || error.errno === ERRNO.ENOTSUP))
      return undefined;
    throw error;
  }
  return value.slice(0, length);
}

/**
 * Has two paths of one file system change places, at once (renameat2(2), RENAME_EXCHANGE); false where that file system cannot, or one of
 * them is not there.
 */
export function exchangePaths(one: string, other: string): boolean {
  const [first, second] = [bytes(one), bytes(other)];
  return Number(calls().syscall(SYS_RENAMEAT2, AT_FDCWD, ptr(first), AT_FDCWD, ptr(second), RENAME_EXCHANGE)) === 0;
}

/** Writes everything of the file system behind a descriptor to its disk. @throws CallError */
export function syncFileSystem(fd: number): void {
  must("syncfs", calls().syncfs(fd));
}

/** Keeps only some capabilities (numbers of capabilities(7)) on this thread, and gains none by executing anything. @throws CallError */
export function keepCapabilities(kept: readonly number[]): void {
  must("prctl", calls().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  const mask = kept.reduce((all, capability) => all | (1n << BigInt(capability)), 0n);
  const [low, high] = [Number(mask & 0xffff_ffffn), Number(mask >> 32n)];
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0);
  const sets = Uint32Array.of(low, low, 0, high, high, 0);
  must("capset", calls().syscall(SYS_CAPSET, ptr(header), ptr(sets), 0, 0, 0));
}
