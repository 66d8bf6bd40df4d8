import { type FSWatcher, mkdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from "node:fs";
import { rename, rm, rmdir, writeFile } from "node:fs/promises";
import { errnoCode, ifThere, isMissing } from "./errors";

/**
 * The text of a file; undefined if it does not exist, or belongs to a process that has ended.
 *
 * @param absent codes of further errors that mean that, such as "ENODEV"
 */
export function readIfThere(path: string, absent: readonly string[] = []): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error) || absent.includes(errnoCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** Watches a file or directory until it is gone; undefined if it does not exist. The watcher does not keep the process alive. */
export function watchIfThere(path: string, changed: () => void): FSWatcher | undefined {
  const watcher = ifThere(() => watch(path, { persistent: false }, () => changed()), undefined);
  watcher?.on("error", () => watcher.close());
  return watcher;
}

/** The maximum number of times a directory is expected to disappear between its creation and the work in it. */
const MAX_TRIES = 100;

/**
 * Creates or opens something in a shared directory. The directory is created if missing, and may be removed at any moment with its
 * last entry; then this is retried.
 *
 * @throws what `work` throws, and Error if the directory cannot be created
 */
export async function inDirectory<Result>(directory: string, work: () => Result | Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return await work();
    } catch (error) {
      // Not ENOTDIR: a retry does not help if something else is in the directory's place.
      if (errnoCode(error) !== "ENOENT" || tries === MAX_TRIES) throw error;
    }
  }
}

/** Removes a directory unless it has entries or something is mounted on it. */
export async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!isMissing(error) && !["ENOTEMPTY", "EBUSY"].includes(errnoCode(error) ?? "")) throw error;
  });
}

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
    writeFileSync(beside, text, { flag: "wx", mode: MODE });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}
