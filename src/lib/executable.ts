import { resolve } from "node:path";
import { version as packageVersion } from "../../package.json";

/** Defined by the bundler (tools/build/compile.ts); undefined when the sources are run directly. */
declare const BUILD_COMMIT: string | undefined;
declare const BUILD_TIME: number | undefined;

/** Version from package.json, such as "0.1.0". */
export const version: string = packageVersion;

/** Git commit the binary was built from, with "-dirty" where sources differed from it; "unknown" outside a build. */
export const commit: string = typeof BUILD_COMMIT === "undefined" ? "unknown" : BUILD_COMMIT;

/** The time of that commit as ISO 8601, such as "2026-11-26T12:00:00Z"; undefined outside a build. */
export const commitTime: string | undefined =
  typeof BUILD_TIME === "undefined" ? undefined : new Date(BUILD_TIME * 1000).toISOString().replace(".000Z", "Z");

/** The internal commands of this program: main.ts selects one by the first argument. */
type EntryPoint = "supervise" | "unpack" | "sync-store";

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
