import { closeSync, fstatSync, lstatSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { ImageError } from "../lib/errors";
import { openByName } from "../linux/walk-names";

/**
 * The directories between one of image_paths and an image. systemd-nspawn opens the image by its path, some time after the driver has
 * checked it: if a directory on that path were replaced by a symlink meanwhile, systemd-nspawn would use any tree of the host, and
 * expose its files to the container. So only root of the host may be able to replace them.
 */

const ROOT = 0;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/** The properties that decide whether a directory may be above an image. */
export interface AncestorFacts {
  readonly path: string;
  readonly isDirectory: boolean;
  readonly uid: number;
  readonly mode: number;
  /** Whether the next entry of the path belongs to root: in a directory with the sticky bit, others cannot replace it then. */
  readonly nextIsOfRoot: boolean;
  /** Whether it has a directory "usr", without which systemd-nspawn accepts no tree as that of a system (nspawn.c, run()). */
  readonly isSystemTree: boolean;
}

/** Why a directory must not be above an image, as a clause after "because"; undefined if it may be. */
export function ancestorProblem(facts: AncestorFacts): string | undefined {
  const { path, isDirectory, uid, mode, nextIsOfRoot, isSystemTree } = facts;
  if (!isDirectory) return `${path} is no longer a directory`;
  if (uid !== ROOT) return `${path} belongs to user ${uid}, who could replace its content; chown it to root`;
  const sticky = (mode & STICKY) !== 0 && nextIsOfRoot;
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && !sticky) {
    return `${path} is writable by group or others (mode ${(mode & 0o7777).toString(8)}), who could replace its content; chmod it to 755`;
  }
  if (!isSystemTree) return undefined;
  return `it is inside ${path}, which is itself a root filesystem whose containers could replace the image; move the image out of it`;
}

/**
 * Checks the directories between an allowed directory and an image below it, one by one from the allowed one and without following
 * symlinks. The allowed directory itself, and those above it, are the operator's responsibility.
 *
 * @param quoted the image as named in the job, in quotes
 * @param allowed one of image_paths, absolute and without symlinks
 * @param path the image, absolute and without symlinks
 * @throws ImageError
 */
export function checkAncestors(quoted: string, allowed: string, path: string): void {
  const names = relative(allowed, path).split(sep).slice(0, -1);
  const upTo = (index: number) => join(allowed, ...names.slice(0, index + 1));
  const unreadable = (error: unknown) => refusal(quoted, `a directory above ${path} cannot be opened`, error);
  const end = openByName(allowed, names, {
    at: (fd, index) => {
      const problem = problemAt(fd, upTo(index), names[index + 1] ?? basename(path), unreadable);
      if (problem !== undefined) throw refusal(quoted, problem);
    },
    failed: unreadable,
  });
  closeSync(end);
}

function problemAt(fd: number, path: string, next: string, unreadable: (error: unknown) => ImageError) {
  try {
    return ancestorProblem(factsOf(fd, path, next));
  } catch (error) {
    throw unreadable(error);
  }
}

function factsOf(fd: number, path: string, next: string): AncestorFacts {
  const stats = fstatSync(fd);
  const isDirectory = stats.isDirectory();
  const look = (name: string) =>
    isDirectory ? lstatSync(`/proc/self/fd/${fd}/${name}`, { throwIfNoEntry: false }) : undefined;
  return {
    path,
    isDirectory,
    uid: stats.uid,
    mode: stats.mode,
    nextIsOfRoot: look(next)?.uid === ROOT,
    isSystemTree: look("usr")?.isDirectory() === true,
  };
}

function refusal(quoted: string, problem: string, cause?: unknown): ImageError {
  return new ImageError(`image ${quoted} is refused on a client with image_paths, because ${problem}.`, { cause });
}
