import { ptr } from "bun:ffi";
import { constants } from "node:fs";
import { errnoCode, unless } from "../lib/errors";
import { AT_FDCWD, SYS } from "./constants";
import { check, cString, libc } from "./ffi";

/** System calls on files that Node's API lacks. */

const RENAME_EXCHANGE = 2;
const { S_IFCHR, S_IFIFO, S_IFREG } = constants;

/** Makes a directory the root and working directory of this process. @throws CallError */
export function enterRoot(directory: string): void {
  check("chroot", libc().chroot(cString(directory)));
  process.chdir("/");
}

/** Makes a FIFO. @throws CallError */
export function createFifo(path: string | Buffer, mode: number): void {
  check("mkfifo", createNode(AT_FDCWD, path, S_IFIFO | mode));
}

/** Creates an overlayfs whiteout, which hides a lower file: a character device 0:0. @throws CallError */
export function createWhiteout(path: string | Buffer): void {
  check("mknod", createNode(AT_FDCWD, path, S_IFCHR));
}

/** Creates a directory in an open directory; does nothing if the name exists. @throws CallError */
export function createDirectoryAt(directory: number, name: string, mode: number): void {
  unless("EEXIST", () => check("mkdir", libc().mkdirat(directory, cString(name), mode)));
}

/** Creates an empty file in an open directory; does nothing if the name exists. @throws CallError */
export function createFileAt(directory: number, name: string, mode: number): void {
  unless("EEXIST", () => check("mknod", createNode(directory, name, S_IFREG | mode)));
}

/** glibc has no mknodat() before 2.33. */
function createNode(directory: number, path: string | Buffer, mode: number): bigint | number {
  const name = cString(path);
  return libc().syscall(SYS.mknodat, directory, ptr(name), mode, 0, 0);
}

/** Sets an extended attribute; of a symlink, not of its target. @throws CallError */
export function setAttribute(path: string | Buffer, name: string, value: Uint8Array): void {
  // ptr() rejects an empty array.
  const content = value.length === 0 ? new Uint8Array(1) : value;
  check("setxattr", libc().lsetxattr(cString(path), cString(name), ptr(content), value.length, 0));
}

/** An extended attribute; undefined if it is not set. @throws CallError */
export function getAttribute(path: string | Buffer, name: string): Uint8Array | undefined {
  const value = new Uint8Array(64 * 1024);
  const length = Number(libc().lgetxattr(cString(path), cString(name), ptr(value), value.length));
  try {
    check("getxattr", length);
  } catch (error) {
    if (["ENODATA", "ENOTSUP"].includes(errnoCode(error) ?? "")) return undefined;
    throw error;
  }
  return value.slice(0, length);
}

/** The names of a file's extended attributes; of a symlink itself, not of its target. @throws CallError */
export function attributeNames(path: string | Buffer): readonly string[] {
  const list = new Uint8Array(64 * 1024);
  const length = Number(libc().llistxattr(cString(path), ptr(list), list.length));
  if (length < 0) unless("ENOTSUP", () => check("listxattr", length));
  return Buffer.from(list.buffer, 0, Math.max(length, 0))
    .toString("utf8")
    .split("\0")
    .filter((name) => name !== "");
}

/**
 * Atomically exchanges two paths of one file system (renameat2(2), RENAME_EXCHANGE); false if the file system cannot, or one of
 * them does not exist. glibc has renameat2() since 2.28.
 */
export function exchangePaths(one: string, other: string): boolean {
  const [first, second] = [cString(one), cString(other)];
  return Number(libc().syscall(SYS.renameat2, AT_FDCWD, ptr(first), AT_FDCWD, ptr(second), RENAME_EXCHANGE)) === 0;
}

/** Writes all data of the file system behind a descriptor to its disk. @throws CallError */
export function syncFileSystem(fd: number): void {
  check("syncfs", libc().syncfs(fd));
}
