import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { errnoCode, isMissing } from "../lib/errors";

/** Where distributions put programs; searched besides PATH because an agent's service often has a short one. */
export const STANDARD_DIRECTORIES: readonly string[] = [
  "/usr/bin",
  "/usr/local/bin",
  "/bin",
  "/usr/sbin",
  "/run/current-system/sw/bin",
];

/** The directories to search, in order and without duplicates: the absolute ones of PATH, then the standard ones. */
export function searchDirectories(path: string | undefined): readonly string[] {
  const own = (path ?? "").split(":").filter((directory) => isAbsolute(directory));
  return [...new Set([...own, ...STANDARD_DIRECTORIES])];
}

/** The path of a program by its name; undefined if it is not installed. */
export function findProgram(name: string, directories = searchDirectories(process.env["PATH"])): string | undefined {
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

/** Whether a path is a program that this process may run. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch (error) {
    if (isMissing(error) || errnoCode(error) === "EACCES") return false;
    throw error;
  }
}
