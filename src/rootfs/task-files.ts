import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, sep } from "node:path";
import { ImageError, ifThere } from "../lib/errors";

/** The name of the directory in the container: Nomad's NOMAD_TASK_DIR, with a driver whose tasks have a root of their own. */
const IN_CONTAINER = "/local/";
const RELATIVE = "local/";

/**
 * The file or directory in a task's own directory that a path in its config names: "local/NAME", or "/local/NAME" if the client has no
 * such path, because that is what NOMAD_TASK_DIR is in the job. Nothing of the task runs when this is called, but an earlier run of it may
 * have written there: symlinks must not lead out.
 *
 * @param local ALLOC/TASK/local
 * @returns its path on the client without symlinks; undefined if it does not exist, or the path names something else
 * @throws ImageError if it is outside
 */
export function findTaskFile(path: string, local: string): string | undefined {
  const below = pathBelow(path, local);
  if (below === undefined) return undefined;
  const real = ifThere(() => realpathSync(join(local, below)), undefined);
  if (real === undefined) return undefined;
  // Where Nomad has made it: the task may have replaced it by a symlink.
  const task = dirname(local);
  const top = join(realpathSync(dirname(task)), basename(task), basename(local));
  if (real.startsWith(top + sep)) return real;
  throw new ImageError(
    `image ${JSON.stringify(path)} is ${real}, which is outside of the task's directory local: symlinks must not lead out of it.`,
  );
}

/** The part after the task's directory; undefined if a path is not in it. */
function pathBelow(path: string, local: string): string | undefined {
  if (path.includes("\0")) return undefined;
  const plain = path.replace(/^(?:\.\/+)+/, "");
  if (plain.startsWith(RELATIVE)) return plain.slice(RELATIVE.length);
  if (path.startsWith(`${local}/`)) return path.slice(local.length + 1);
  return isAbsolute(path) && path.startsWith(IN_CONTAINER) && !existsSync(path)
    ? path.slice(IN_CONTAINER.length)
    : undefined;
}
