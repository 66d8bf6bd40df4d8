import { ptr } from "bun:ffi";
import { chownSync, closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { AT_FDCWD, O_CLOEXEC, O_PATH, RESOLVE, SYS } from "./constants";
import { cString, libc } from "./ffi";
import { createDirectoryAt, createFileAt } from "./files";

/** Files of an untrusted tree, as seen by a process whose root it is: no symlink in it leads out. */

/** The files read here have a line per user, not more. */
const MAX_BYTES = 4 * 1024 * 1024;

/** An open descriptor of a tree's root. */
export interface TreeRoot extends Disposable {
  readonly fd: number;
}

/** Opens a tree. */
export function openTree(directory: string): TreeRoot {
  const fd = openSync(directory, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

/** The text of a regular file; "" if it does not exist or has no sensible size. */
export function readInTree(tree: Pick<TreeRoot, "fd">, path: string): string {
  const fd = openFileInTree(tree, path);
  if (fd === undefined) return "";
  using open = new DisposableStack();
  open.adopt(fd, closeSync);
  return fstatSync(fd).size > MAX_BYTES ? "" : readFileSync(fd, "utf8");
}

/** Opens a regular file for reading; undefined if it does not exist, or something else has its name. */
export function openFileInTree(tree: Pick<TreeRoot, "fd">, path: string): number | undefined {
  // Opened in two steps, because opening a device or FIFO may have side effects.
  const found = openInRoot(tree.fd, path, O_PATH);
  if (found === undefined) return undefined;
  try {
    if (!fstatSync(found).isFile()) return undefined;
    return openSync(`/proc/self/fd/${found}`, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } finally {
    closeSync(found);
  }
}

/** Whether a path exists. */
export function existsInTree(tree: TreeRoot, path: string): boolean {
  const fd = openInRoot(tree.fd, path, O_PATH);
  if (fd !== undefined) closeSync(fd);
  return fd !== undefined;
}

/**
 * Creates a directory and its parents, or an empty file, if missing.
 *
 * @param owner of what is created
 * @returns false if something else is in the way
 */
export function createInTree(tree: TreeRoot, path: string, kind: "directory" | "file", owner: number): boolean {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  let directory = openInRoot(tree.fd, "/", O_PATH | constants.O_DIRECTORY);
  try {
    for (const [index, part] of parts.entries()) {
      const here = `/${parts.slice(0, index + 1).join("/")}`;
      const wanted = index === parts.length - 1 ? kind : "directory";
      let next = openInRoot(tree.fd, here, O_PATH);
      if (next === undefined && directory !== undefined) {
        if (wanted === "directory") createDirectoryAt(directory, part, 0o755);
        else createFileAt(directory, part, 0o644);
        // A dangling symlink is in the way; its target is not created.
        next = openInRoot(tree.fd, here, O_PATH | constants.O_NOFOLLOW);
        if (next !== undefined && !fstatSync(next).isSymbolicLink()) chownSync(`/proc/self/fd/${next}`, owner, owner);
      }
      if (directory !== undefined) closeSync(directory);
      directory = next;
      if (next === undefined || fstatSync(next).isDirectory() !== (wanted === "directory")) return false;
    }
    return directory !== undefined;
  } finally {
    if (directory !== undefined) closeSync(directory);
  }
}

/** Creates a file with a text if nothing is there, and its parents. @param owner of what is created */
export function writeInTree(tree: TreeRoot, path: string, text: string, owner: number): void {
  if (existsInTree(tree, path) || !createInTree(tree, path, "file", owner)) return;
  const found = openInRoot(tree.fd, path, O_PATH);
  if (found === undefined) return;
  using open = new DisposableStack();
  open.adopt(found, closeSync);
  writeFileSync(open.adopt(openSync(`/proc/self/fd/${found}`, constants.O_WRONLY), closeSync), text);
}

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
