import { rmdir } from "node:fs/promises";
import { errnoCode, isMissing } from "./errno";

/** Removes a directory unless it has entries or something is mounted on it. */
export async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!isMissing(error) && !["ENOTEMPTY", "EBUSY"].includes(errnoCode(error) ?? "")) throw error;
  });
}
