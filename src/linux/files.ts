import { dlopen, FFIType, ptr } from "bun:ffi";
import { describeErrno, errnoSymbol, lastErrno } from "./ffi";

/** System calls on files that Node's API lacks. */

/** A descriptor that only says where a file is (open(2)); Node's constants do not have it. */
export const O_PATH = 0o10000000;
const PR_SET_NO_NEW_PRIVS = 38;
const AT_FDCWD = -100;
const SYS_CAPSET = 126;
/** glibc has no mknodat() before 2.33. */
const SYS_MKNODAT = 259;
/** _LINUX_CAPABILITY_VERSION_3 (linux/capability.h): 64 capabilities. */
export const CAPABILITY_VERSION_3 = 0x2008_0522;
/** glibc has renameat2() since 2.28. */
const SYS_RENAMEAT2 = 316;
const RENAME_EXCHANGE = 2;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFREG = 0o100000;

/** Error numbers that callers distinguish (errno(3)). */
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

/** A call that failed, with its error number. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly errno: number;

  constructor(call: string, errno: number) {
    super(`${call} failed: ${describeErrno(errno)}`);
    this.errno = errno;
  }
}

function check(call: string, result: number | bigint): void {
  if (result >= 0) return;
  throw new CallError(call, lastErrno(calls()));
}

function bytes(path: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(path), Buffer.of(0)]);
}

/** Opens the library now: for a process that cannot find it later. */
export function loadFileCalls(): void {
  calls();
}

/** Makes a directory the root and working directory of this process. @throws CallError */
export function enterRoot(directory: string): void {
  check("chroot", calls().chroot(bytes(directory)));
  process.chdir("/");
}

/** Makes a FIFO. @throws CallError */
export function makeFifo(path: string | Buffer, mode: number): void {
  check("mkfifo", makeNode(AT_FDCWD, path, S_IFIFO | mode));
}

/** Creates an overlayfs whiteout, which hides a lower file: a character device 0:0. @throws CallError */
export function makeWhiteout(path: string | Buffer): void {
  check("mknod", makeNode(AT_FDCWD, path, S_IFCHR));
}

/** Creates a directory in an open directory; does nothing if the name exists. @throws CallError */
export function makeDirectoryAt(directory: number, name: string, mode: number): void {
  ignoreExisting("mkdir", calls().mkdirat(directory, bytes(name), mode));
}

/** Creates an empty file in an open directory; does nothing if the name exists. @throws CallError */
export function makeFileAt(directory: number, name: string, mode: number): void {
  ignoreExisting("mknod", makeNode(directory, name, S_IFREG | mode));
}

function makeNode(directory: number, path: string | Buffer, mode: number): bigint | number {
  const name = bytes(path);
  return calls().syscall(SYS_MKNODAT, directory, ptr(name), mode, 0, 0);
}

function ignoreExisting(call: string, result: bigint | number): void {
  try {
    check(call, result);
  } catch (error) {
    if (!(error instanceof CallError) || error.errno !== ERRNO.EEXIST) throw error;
  }
}

/** Sets an extended attribute; of a symlink, not of its target. @throws CallError */
export function setAttribute(path: string | Buffer, name: string, value: Uint8Array): void {
  // ptr() rejects an empty array.
  const content = value.length === 0 ? new Uint8Array(1) : value;
  check("setxattr", calls().lsetxattr(bytes(path), bytes(name), ptr(content), value.length, 0));
}

/** An extended attribute; undefined if it is not set. @throws CallError */
export function getAttribute(path: string | Buffer, name: string): Uint8Array | undefined {
  const value = new Uint8Array(64 * 1024);
  const length = Number(calls().lgetxattr(bytes(path), bytes(name), ptr(value), value.length));
  try {
    check("getxattr", length);
  } catch (error) {
    if (error instanceof CallError && (error.errno === ERRNO.ENODATA || error.errno === ERRNO.ENOTSUP))
      return undefined;
    throw error;
  }
  return value.slice(0, length);
}

/**
 * Atomically exchanges two paths of one file system (renameat2(2), RENAME_EXCHANGE); false if the file system cannot, or one of
 * them does not exist.
 */
export function exchangePaths(one: string, other: string): boolean {
  const [first, second] = [bytes(one), bytes(other)];
  return Number(calls().syscall(SYS_RENAMEAT2, AT_FDCWD, ptr(first), AT_FDCWD, ptr(second), RENAME_EXCHANGE)) === 0;
}

/** Writes all data of the file system behind a descriptor to its disk. @throws CallError */
export function syncFileSystem(fd: number): void {
  check("syncfs", calls().syncfs(fd));
}

/** Keeps only some capabilities (numbers of capabilities(7)) on this thread; execve gains no others. @throws CallError */
export function keepCapabilities(kept: readonly number[]): void {
  check("prctl", calls().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  const mask = kept.reduce((all, capability) => all | (1n << BigInt(capability)), 0n);
  const [low, high] = [Number(mask & 0xffff_ffffn), Number(mask >> 32n)];
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0);
  const sets = Uint32Array.of(low, low, 0, high, high, 0);
  check("capset", calls().syscall(SYS_CAPSET, ptr(header), ptr(sets), 0, 0, 0));
}
