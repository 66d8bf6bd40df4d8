import { readFileSync } from "node:fs";
import { isMissing } from "./errno";

/** The text of a file; undefined where there is none, or it belongs to a process that has ended meanwhile. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
