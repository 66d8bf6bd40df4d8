import { closeSync } from "node:fs";
import { memoryFile } from "../memfd";

/** Descriptors for a program's standard streams and further ones, in order; "ignore" is /dev/null. */
export type Descriptors = readonly [number | "ignore", number | "pipe", number | "ignore", ...number[]];

/**
 * Runs an executable that exists in memory only, with the given descriptors and an empty environment.
 *
 * @param name shown by ps(1)
 */
export function runProgram(name: string, executable: Uint8Array, descriptors: Descriptors) {
  const file = memoryFile(name, executable);
  try {
    return Bun.spawn([`/proc/${process.pid}/fd/${file}`], {
      argv0: name,
      cwd: "/",
      env: {},
      stdio: [...descriptors],
    });
  } finally {
    closeSync(file);
  }
}
