import { lstat, readlink } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../lib/errors";

/** How a container is started from a directory. */
interface OsTreeUse {
  /** An init system is started (`--boot`). */
  readonly boot: boolean;
  /** Directory within the tree that becomes the root (the part of `--pivot-root=` before a colon). */
  readonly pivotRoot?: string | undefined;
}

const MAX_LINKS = 40;
const OS_RELEASE = ["etc/os-release", "usr/lib/os-release"] as const;

/**
 * Why systemd-nspawn would refuse a directory, undefined if it accepts it: to boot it requires an os-release file,
 * otherwise /usr (nspawn.c, run()). Checked before the start, so that the task fails with a clear error.
 */
export async function osTreeProblem(directory: string, { boot, pivotRoot }: OsTreeUse): Promise<string | undefined> {
  const root = pivotRoot === undefined ? directory : join(directory, pivotRoot);
  if (!boot) {
    return (await existsWithin(root, "usr"))
      ? undefined
      : `The directory ${root} contains no operating system (no /usr), so systemd-nspawn cannot start it.`;
  }
  for (const file of OS_RELEASE) if (await existsWithin(root, file)) return undefined;
  return `The directory ${root} contains no operating system to boot (neither /${OS_RELEASE.join(" nor /")}); to run a command without an init system, set boot = false.`;
}

/** The first missing mount point of a directory; undefined if all exist. */
export async function missingMountPoint(directory: string, targets: readonly string[]): Promise<string | undefined> {
  for (const target of targets) if (!(await existsWithin(directory, target))) return target;
  return undefined;
}

/** Whether a path exists, with symlinks resolved as in the container: absolute ones start at its root. */
async function existsWithin(root: string, path: string): Promise<boolean> {
  const todo = path.split("/");
  let at: string[] = [];
  for (let links = 0; todo.length > 0; ) {
    const name = todo.shift();
    if (name === undefined || name === "" || name === ".") continue;
    if (name === "..") {
      at = at.slice(0, -1);
      continue;
    }
    const here = join(root, ...at, name);
    const target = await linkTarget(here);
    if (target === "missing") return false;
    if (target === undefined) {
      at.push(name);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return false;
    if (target.to.startsWith("/")) at = [];
    todo.unshift(...target.to.split("/"));
  }
  return true;
}

async function linkTarget(path: string): Promise<{ readonly to: string } | "missing" | undefined> {
  try {
    const stats = await lstat(path);
    return stats.isSymbolicLink() ? { to: await readlink(path) } : undefined;
  } catch (error) {
    if (isMissing(error)) return "missing";
    throw error;
  }
}
