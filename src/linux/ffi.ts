import { dlopen, FFIType, read } from "bun:ffi";
import { getSystemErrorMap } from "node:util";

/**
 * The functions of the C library that Node's API lacks, in one table. The functions that use it are beside it in files named after
 * what they hold.
 *
 * The table is opened as a whole, with errno: opening the library makes calls of its own, and if those came between a failed call and
 * reading errno, they would replace it. Opening takes 0.1 to 0.4 ms (measured with 24 functions).
 */

const { cstring, i32, i64, ptr, u32, u64 } = FFIType;

const SYMBOLS = {
  __errno_location: { args: [], returns: ptr },
  bind: { args: [i32, ptr, u32], returns: i32 },
  chroot: { args: [cstring], returns: i32 },
  execve: { args: [cstring, ptr, ptr], returns: i32 },
  fcntl: { args: [i32, i32, i32], returns: i32 },
  flock: { args: [i32, i32], returns: i32 },
  inotify_add_watch: { args: [i32, cstring, u32], returns: i32 },
  inotify_init1: { args: [i32], returns: i32 },
  ioctl: { args: [i32, u64, ptr], returns: i32 },
  lgetxattr: { args: [cstring, cstring, ptr, u64], returns: i64 },
  llistxattr: { args: [cstring, ptr, u64], returns: i64 },
  lsetxattr: { args: [cstring, cstring, ptr, u64, i32], returns: i32 },
  memfd_create: { args: [cstring, u32], returns: i32 },
  mkdirat: { args: [i32, cstring, u32], returns: i32 },
  mount: { args: [cstring, cstring, cstring, u64, cstring], returns: i32 },
  pipe2: { args: [ptr, i32], returns: i32 },
  prctl: { args: [i32, u64, u64, u64, u64], returns: i32 },
  recv: { args: [i32, ptr, u64, i32], returns: i64 },
  send: { args: [i32, ptr, u64, i32], returns: i64 },
  sendmsg: { args: [i32, ptr, i32], returns: i64 },
  sendto: { args: [i32, ptr, u64, i32, ptr, u32], returns: i64 },
  setns: { args: [i32, i32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, ptr, u32], returns: i32 },
  socket: { args: [i32, i32, i32], returns: i32 },
  syncfs: { args: [i32], returns: i32 },
  /** For calls without a function in old C libraries; the numbers are in constants.ts. */
  syscall: { args: [i64, i64, i64, i64, i64, i64], returns: i64 },
  umount2: { args: [cstring, i32], returns: i32 },
} as const;

type Libc = ReturnType<typeof open>;
let library: Libc | undefined;

function open() {
  return dlopen("libc.so.6", SYMBOLS).symbols;
}

/** The C library; opened on first use, because a plugin that only prints its schema never needs it. */
export function libc(): Libc {
  library ??= open();
  return library;
}

/** Opens the C library now: for a process that cannot find it later. */
export function loadLibc(): void {
  libc();
}

/**
 * A string for the C library: it ends with a NUL.
 *
 * @throws Error if the text contains a NUL: the C library would see only the part before it
 */
export function cString(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.includes(0)) throw new Error(`A path must not contain a NUL character: ${JSON.stringify(String(bytes))}.`);
  return Buffer.concat([bytes, Buffer.of(0)]);
}

/** The error number of this thread's last failed call (errno(3)). */
function errno(): number {
  const location = libc().__errno_location();
  return location === null ? 0 : read.i32(location, 0);
}

/** A call that the kernel refused. */
export class CallError extends Error {
  override readonly name = "CallError";
  /** Such as "EEXIST"; see errnoCode(). */
  readonly code: string;

  constructor(call: string, number: number) {
    super(`${call} failed: ${describeErrno(number)}`);
    this.code = errnoEntry(number)[0];
  }
}

/** The error of the call that just failed on this thread. @param call its name */
export function callError(call: string): CallError {
  return new CallError(call, errno());
}

/** Throws the call's error if its result is negative. @throws CallError */
export function check(call: string, result: number | bigint): void {
  if (result < 0) throw callError(call);
}

/** The name and meaning of the error of the call that just failed on this thread (errno(3)). */
export function lastErrno(): readonly [code: string, meaning: string] {
  return errnoEntry(errno());
}

/** Name and meaning of an error number (errno(3)), such as "EINVAL: invalid argument". */
export function describeErrno(number: number): string {
  const [code, meaning] = errnoEntry(number);
  return `${code}: ${meaning}`;
}

/** The name of an error number, such as "EINVAL", and its meaning. */
export function errnoEntry(number: number): readonly [code: string, meaning: string] {
  return getSystemErrorMap().get(-number) ?? [`errno ${number}`, "unknown error"];
}
