import { FFIType, type Pointer, read } from "bun:ffi";

/**
 * To be opened along with the calls whose errors are asked for: opening the C library makes calls of its own, which may fail.
 */
export const errnoSymbol = { __errno_location: { args: [], returns: FFIType.ptr } } as const;

/** Number of the error of this thread's last call that failed (errno(3)). */
export function lastErrno(library: { __errno_location(): Pointer | bigint | null }): number {
  const location = library.__errno_location();
  return location === null ? 0 : read.i32(location, 0);
}
