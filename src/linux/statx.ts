import { ptr } from "bun:ffi";
import { AT_FDCWD } from "./constants";
import { cString, libc } from "./ffi";
import { SYS } from "./syscalls";

const AT_STATX_DONT_SYNC = 0x4000;
const STATX_INO = 0x100;
/** Size of struct statx, and the offsets of its inode and device numbers (linux/stat.h). */
const STATX_SIZE = 256;
const STATX = { inode: 32, major: 136, minor: 140 } as const;

/**
 * Device and inode of the file at a path, from the kernel's cache: the file system, which may be a container's and hang,
 * is not queried (statx(2), AT_STATX_DONT_SYNC). Undefined if no such file exists.
 */
export function inodeInMemory(path: string): string | undefined {
  const name = cString(path);
  const found = new DataView(new ArrayBuffer(STATX_SIZE));
  const result = libc().syscall(SYS.statx, AT_FDCWD, ptr(name), AT_STATX_DONT_SYNC, STATX_INO, ptr(found));
  if (Number(result) !== 0) return undefined;
  const device = `${found.getUint32(STATX.major, true)}:${found.getUint32(STATX.minor, true)}`;
  return `${device}:${found.getBigUint64(STATX.inode, true)}`;
}
