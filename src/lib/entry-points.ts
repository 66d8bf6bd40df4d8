import { resolve } from "node:path";

/** The internal commands of this program: main.ts selects one by the first argument. */
export type EntryPoint = "supervise" | "unpack" | "sync-store";

/**
 * The argv that starts this program again: the compiled binary alone, or bun with the main module when run from sources
 * (bun's "Single-file executable" page: embedded files live under /$bunfs/).
 */
export function selfCommand(): readonly string[] {
  // Not import.meta.dir: the bundler replaces that by this file's directory at build time.
  if (Bun.main.startsWith("/$bunfs/")) return [process.execPath];
  return [process.execPath, resolve(import.meta.dir, "../main.ts")];
}

/** The argv that starts one of this program's internal processes; its own arguments are appended. */
export function entryPoint(name: EntryPoint): readonly string[] {
  return [...selfCommand(), name];
}
