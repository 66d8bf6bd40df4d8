import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";

/**
 * Files that are replaced as a whole: readers see the old content or the new one. They are readable by their owner alone, and not
 * synced to the disk: after a power failure a file may be the old one, or empty.
 */

const MODE = 0o600;
const SUFFIX = ".new";

/** Whether a name is that of an unfinished file, which a killed process left. */
export function isUnfinished(name: string): boolean {
  return name.endsWith(SUFFIX);
}

function besideOf(path: string): string {
  return `${path}.${crypto.randomUUID()}${SUFFIX}`;
}

/** Replaces a file's content, or creates the file. */
export async function writeAtomically(path: string, text: string): Promise<void> {
  const beside = besideOf(path);
  try {
    await writeFile(beside, text, { mode: MODE });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/** Replaces a file's content, or creates the file, before it returns. */
export function writeAtomicallySync(path: string, text: string): void {
  const beside = besideOf(path);
  try {
    const fd = openSync(beside, "wx", MODE);
    try {
      for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(fd, rest));
    } finally {
      closeSync(fd);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}
