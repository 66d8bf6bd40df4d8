import { accessSync, constants, existsSync, readFileSync, realpathSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errnoCode } from "../../host/errno";
import { readMounts } from "../../host/mounts";
import { FORMAT } from "../../image/store/open-store";
import { storePaths } from "../../image/store/paths";
import type { ImageStoreFact } from "./facts";

/** Inspects an image store, or the directory in which it would be created. */
export function readImageStore(path: string): ImageStoreFact {
  const exists = existsSync(path);
  let at = path;
  while (!existsSync(at)) at = dirname(at);
  const real = realpathSync(at);
  const { bavail, bsize } = statfsSync(real);
  // The longest mount point above the path is its mount; if several are mounted at one point, the last one is.
  const mount = readMounts()
    .filter((each) => real === each.path || real.startsWith(each.path === "/" ? "/" : `${each.path}/`))
    .reduce((best, each) => (each.path.length >= best.path.length ? each : best));
  const problem = problemOf(path, real, exists);
  return { path, exists, free: bavail * bsize, fileSystem: mount.type, ...(problem === undefined ? {} : { problem }) };
}

function problemOf(path: string, real: string, exists: boolean): string | undefined {
  try {
    if (!statSync(real).isDirectory()) return `${real} is not a directory`;
    accessSync(real, constants.W_OK | constants.X_OK);
    const { format } = storePaths(path);
    const found = exists && existsSync(format) ? readFileSync(format, "utf8") : FORMAT;
    return found === FORMAT || found === "" ? undefined : "it was created by another version of the driver";
  } catch (error) {
    return `it is not writable (${errnoCode(error) ?? "unknown error"})`;
  }
}
