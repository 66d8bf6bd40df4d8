import { readFileSync } from "node:fs";
import { isMissing } from "./errno";

/** The text of a file; undefined if it does not exist, or belongs to a process that has ended. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
