import { resolve } from "node:path";

/** The internal commands of this program: main.ts selects one by the first argument. */
type EntryPoint = "supervise" | "unpack" | "sync-store";

/** Defined by the bundler (tools/build/compile.ts); undefined when the sources are run directly. */
declare const BUILD_COMMIT: string | undefined;

/**
 * The argv that starts this program again: the compiled binary alone, or bun with the main module when run from sources. The bundler
 * replaces import.meta.dir by the directory of the source, so nothing of it may be left in the binary.
 */
export function selfCommand(): readonly string[] {
  if (typeof BUILD_COMMIT === "string") return [process.execPath];
  return [process.execPath, resolve(import.meta.dir, "../main.ts")];
}

/** The argv that starts one of this program's internal processes; its own arguments are appended. */
export function entryPoint(name: EntryPoint): readonly string[] {
  return [...selfCommand(), name];
}
