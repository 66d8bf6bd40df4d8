import { dlopen, FFIType, ptr } from "bun:ffi";
import { constants, openSync } from "node:fs";
import { O_PATH } from "./file-calls";
import { describeErrno, errnoSymbol, lastErrno } from "./last-errno";

/** Mount calls that Node's API lacks. */

const SYS_MOVE_MOUNT = 429;
const AT_FDCWD = -100;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const NO_FLAGS = 0;
const EINVAL = 22;

type Calls = ReturnType<typeof open>;
let library: Calls | undefined;

function open() {
  return dlopen("libc.so.6", {
    mount: {
      args: [FFIType.cstring, FFIType.cstring, FFIType.cstring, FFIType.u64, FFIType.cstring],
      returns: FFIType.i32,
    },
    syscall: { args: Array.from({ length: 6 }, () => FFIType.i64), returns: FFIType.i64 },
    ...errnoSymbol,
  }).symbols;
}

function calls(): Calls {
  library ??= open();
  return library;
}

/** A mount that the kernel refused, with its error number (errno(3)). */
export class MountError extends Error {
  override readonly name = "MountError";
  readonly errno: number;

  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }

  /** EINVAL stands for most reasons: something cannot be part of such a mount. */
  get invalid(): boolean {
    return this.errno === EINVAL;
  }
}

function text(value: string): Buffer {
  if (value.includes("\0")) throw new Error(`A path must not contain a NUL character: ${JSON.stringify(value)}.`);
  return Buffer.from(`${value}\0`);
}

/** A location as a descriptor that no child inherits; a symlink as last component is not followed. */
export function openPath(path: string): number {
  return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/**
 * Mounts a file system.
 *
 * @param data mount options, at most a page long
 * @throws MountError
 */
export function mount(source: string, target: string, type: string, data: string): void {
  const [from, to, kind, options] = [text(source), text(target), text(type), text(data)];
  if (calls().mount(from, to, kind, NO_FLAGS, options) === 0) return;
  const number = lastErrno(calls());
  throw new MountError(
    `mounting ${type} on ${target} failed: ${describeErrno(number)} (dmesg may have details)`,
    number,
  );
}

/** Attaches a detached mount at a path. @throws MountError */
export function attachMount(detached: number, target: string): void {
  const [empty, to] = [text(""), text(target)];
  const result = calls().syscall(SYS_MOVE_MOUNT, detached, ptr(empty), AT_FDCWD, ptr(to), MOVE_MOUNT_F_EMPTY_PATH);
  if (result === 0n || Number(result) === 0) return;
  const number = lastErrno(calls());
  throw new MountError(`mounting on ${target} failed: ${describeErrno(number)}`, number);
}
