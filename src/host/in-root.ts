import { chownSync, closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { makeDirectoryAt, makeFileAt } from "./file-calls";
import { openInRoot } from "./libc";

/** Files of a tree that is not trusted, as a process sees them whose root it is: no symlink in it leads out. */

const O_PATH = 0o10000000;
/** What is read is a line a user, not more. */
const MOST_BYTES = 4 * 1024 * 1024;

/** A tree's root, held open. */
export interface TreeRoot extends Disposable {
  readonly fd: number;
}

/** Opens a tree. */
export function openTree(directory: string): TreeRoot {
  const fd = openSync(directory, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}

/** The text of a regular file; "" where there is none of a sensible size. */
export function readInTree(tree: Pick<TreeRoot, "fd">, path: string): string {
  // Opened in two steps: opening a device or FIFO may have effects.
  const found = openInRoot(tree.fd, path, O_PATH);
  if (found === undefined) return "";
  try {
    const stats = fstatSync(found);
    if (!stats.isFile() || stats.size > MOST_BYTES) return "";
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

/** Whether something is there. */
export function existsInTree(tree: TreeRoot, path: string): boolean {
  const fd = openInRoot(tree.fd, path, O_PATH);
  if (fd !== undefined) closeSync(fd);
  return fd !== undefined;
}

/**
 * Makes a directory and those above it, or a file with nothing in it, where they are missing.
 *
 * @param owner whom they belong to
 * @returns false where something else is in the way
 */
export function makeInTree(tree: TreeRoot, path: string, kind: "directory" | "file", owner: number): boolean {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  let directory = openInRoot(tree.fd, "/", O_PATH | constants.O_DIRECTORY);
  try {
    for (const [index, part] of parts.entries()) {
      const here = `/${parts.slice(0, index + 1).join("/")}`;
      const wanted = index === parts.length - 1 ? kind : "directory";
      let next = openInRoot(tree.fd, here, O_PATH);
      if (next === undefined && directory !== undefined) {
        if (wanted === "directory") makeDirectoryAt(directory, part, 0o755);
        else makeFileAt(directory, part, 0o644);
        // A symlink that leads nowhere is in the way, and makes nothing.
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
