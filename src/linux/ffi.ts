import { FFIType, type Pointer, read } from "bun:ffi";
import { getSystemErrorMap } from "node:util";

/** Open it together with the calls whose errors are read: opening the C library makes calls of its own, which may fail. */
export const errnoSymbol = { __errno_location: { args: [], returns: FFIType.ptr } } as const;

/** The error number of this thread's last failed call (errno(3)). */
export function lastErrno(library: { __errno_location(): Pointer | bigint | null }): number {
  const location = library.__errno_location();
  return location === null ? 0 : read.i32(location, 0);
}

/** Name and meaning of an error number (errno(3)), such as "EINVAL: invalid argument". */
export function describeErrno(errno: number): string {
  const [name, meaning] = errnoEntry(errno);
  return `${name}: ${meaning}`;
}

/** The name of an error number, such as "EINVAL", and its meaning. */
export function errnoEntry(errno: number): readonly [name: string, meaning: string] {
  return getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, "unknown error"];
}
