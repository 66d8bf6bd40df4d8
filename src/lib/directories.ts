import { mkdir, rmdir } from "node:fs/promises";
import { errnoCode, isMissing } from "./errors";

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
      await mkdir(directory, { recursive: true, mode: 0o700 });
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
