import { rmdir } from "node:fs/promises";
import { errnoCode, isMissing } from "./errno";

/** Removes a directory that is nobody's any more; leaves one with something in it, or with something mounted on it. */
export async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!isMissing(error) && !["ENOTEMPTY", "EBUSY"].includes(errnoCode(error) ?? "")) throw error;
  });
}
