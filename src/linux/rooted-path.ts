import { chownSync, closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { O_PATH } from "./constants";
import { createDirectoryAt, createFileAt } from "./files";
import { openInRoot } from "./openat2";

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
  // Opened in two steps, because opening a device or FIFO may have side effects.
  const found = openInRoot(tree.fd, path, O_PATH);
  if (found === undefined) return "";
  try {
    const stats = fstatSync(found);
    if (!stats.isFile() || stats.size > MAX_BYTES) return "";
    const file = openSync(`/proc/self/fd/${found}`, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      return readFileSync(file, "utf8");
    } finally {
      closeSync(file);
    }
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
