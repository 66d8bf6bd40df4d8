import { ptr } from "bun:ffi";
import { AT_FDCWD, O_CLOEXEC, RESOLVE } from "./constants";
import { cString, libc } from "./ffi";
import { SYS } from "./syscalls";

/**
 * Opens a path as seen by a process whose root is the directory behind `root`: symlinks, absolute or not, stay inside
 * (openat2(2)). Undefined if no such file exists.
 */
export function openInRoot(root: number, path: string, flags: number): number | undefined {
  return openat2(root, path, flags, RESOLVE.noMagicLinks | RESOLVE.inRoot);
}

/**
 * Opens an absolute path without following symlinks (openat2(2)). Undefined if the file does not exist, a component is a symlink, or a
 * seccomp filter or a kernel before 5.6 lacks the call.
 */
export function openWithoutSymlinks(path: string, flags: number): number | undefined {
  return openat2(AT_FDCWD, path, flags, RESOLVE.noSymlinks);
}

/** A descriptor that no child inherits; undefined if the kernel refuses it, for any reason. */
function openat2(directory: number, path: string, flags: number, resolve: number): number | undefined {
  const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, BigInt(resolve)]);
  const name = cString(path);
  const fd = Number(libc().syscall(SYS.openat2, directory, ptr(name), ptr(how), how.byteLength, 0));
  return fd >= 0 ? fd : undefined;
}
