import { readFileSync } from "node:fs";
import { errnoCode, isMissing } from "./errors";

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
