import { accessSync, constants, existsSync, readFileSync, realpathSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errnoCode } from "../../host/errno";
import { readMounts } from "../../host/mounts";
import { FORMAT } from "../../image/store/open-store";
import { storePaths } from "../../image/store/paths";
import type { ImageStoreFact } from "./facts";

/** Looks at an image store, or at where it would be made. */
export function readImageStore(path: string): ImageStoreFact {
  const there = existsSync(path);
  let at = path;
  while (!existsSync(at)) at = dirname(at);
  const real = realpathSync(at);
  const { bavail, bsize } = statfsSync(real);
  // The mount that the path is in is the longest one; of several at one place the last.
  const mount = readMounts()
    .filter((each) => real === each.path || real.startsWith(each.path === "/" ? "/" : `${each.path}/`))
    .reduce((best, each) => (each.path.length >= best.path.length ? each : best));
  const problem = problemOf(path, real, there);
  return { path, there, free: bavail * bsize, fileSystem: mount.type, ...(problem === undefined ? {} : { problem }) };
}

function problemOf(path: string, real: string, there: boolean): string | undefined {
  try {
    if (!statSync(real).isDirectory()) return `${real} is no directory`;
    accessSync(real, constants.W_OK | constants.X_OK);
    const { format } = storePaths(path);
    const found = there && existsSync(format) ? readFileSync(format, "utf8") : FORMAT;
    return found === FORMAT || found === "" ? undefined : "it was made by another version of the driver";
  } catch (error) {
    return `it cannot be written to (${errnoCode(error) ?? "no reason given"})`;
  }
}
