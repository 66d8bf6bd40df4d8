import { mkdir } from "node:fs/promises";
import { errnoCode } from "./errno";

/** More often than that no directory goes away between its making and what is made in it. */
const mostTries = 100;

/**
 * Makes or opens something in a directory of many, which is made where it is missing and may go at any moment with the end of the
 * last of them: it is tried again then.
 *
 * @throws what `work` throws, and Error where there cannot be such a directory
 */
export async function inDirectory<Result>(directory: string, work: () => Result | Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      return await work();
    } catch (error) {
      // Not ENOTDIR: what is in the place of a directory stays there.
      if (errnoCode(error) !== "ENOENT" || tries === mostTries) throw error;
    }
  }
}
