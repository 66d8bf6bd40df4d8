import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoCode, ifThere } from "../lib/errors";
import { type CdiSpec, parseCdiSpec } from "./spec";

/** Where specifications are, in the order of their precedence: a later directory overrides an earlier one (SPEC.md of CDI). */
export const CDI_DIRECTORIES = ["/etc/cdi", "/var/run/cdi"] as const;

/** The largest file that is read; NVIDIA's has some tens of kilobytes. */
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_FILES = 256;
const GROUP_OR_OTHERS_WRITE = 0o022;

/** A specification of this host, or why a file is none. */
export interface CdiFile {
  readonly path: string;
  /** Position of its directory: a higher one takes precedence. */
  readonly priority: number;
  /** A string: the problem as the end of a sentence. */
  readonly spec: CdiSpec | string;
}

/** Reads all specifications. Files of other names are none. */
export function readCdiFiles(directories: readonly string[] = CDI_DIRECTORIES): readonly CdiFile[] {
  return directories.flatMap((directory, priority) => {
    const names = ifThere(() => readdirSync(directory), []).filter((name) => /\.(?:json|yaml)$/.test(name));
    return names
      .toSorted()
      .slice(0, MAX_FILES)
      .map((name) => ({ path: join(directory, name), priority, spec: readSpec(join(directory, name)) }));
  });
}

function readSpec(path: string): CdiSpec | string {
  try {
    using open = new DisposableStack();
    // Neither a symlink is followed nor a FIFO waited for.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const fd = open.adopt(openSync(path, flags), closeSync);
    const stats = fstatSync(fd);
    if (!stats.isFile()) return "it is not a regular file";
    if (stats.uid !== 0 || (stats.mode & GROUP_OR_OTHERS_WRITE) !== 0) {
      return "users other than root can write to it";
    }
    if (stats.size > MAX_BYTES) return `it is larger than ${MAX_BYTES / 1024 / 1024} MiB`;
    return parseCdiSpec(readFileSync(fd, "utf8"), path.endsWith(".json") ? "json" : "yaml");
  } catch (error) {
    const code = errnoCode(error);
    if (code === undefined) throw error;
    return code === "ELOOP" ? "it is a symlink" : `it cannot be read (${code})`;
  }
}
