import { lstatSync, openSync, readdirSync, readlinkSync, rmdirSync, rmSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoCode, ifThere, isMissing } from "../lib/errors";
import { lockOpened } from "../linux/flock";
import { detachMount, mountPoints } from "../linux/mount";
import { removeRootDirectories } from "./root-directories";

const RUN_DIRECTORY = "/run/systemd/nspawn";

/**
 * The directories of a container below RUN_DIRECTORY that systemd-nspawn shares with the host: propagate/MACHINE, a directory, and
 * a tmpfs, since 256 unix-export/MACHINE and in 262 MACHINE/unix-export. A SIGKILLed systemd-nspawn leaves both, and 256 and
 * later then refuse to start the machine again ("exists already, refusing"). Each is listed before its parent directory.
 */
function sharedDirectories(runDirectory: string, machine: string): readonly string[] {
  const names = [`unix-export/${machine}`, `propagate/${machine}`, `${machine}/unix-export`, machine];
  return names.map((name) => join(runDirectory, name));
}

/** Mounts can be stacked; systemd-nspawn never creates more than this many on one directory. */
const MAX_STACKED = 16;

/** Directories of systemd-nspawn's locks of user ID ranges, and of images by inode. */
const LOCK_DIRECTORIES: readonly string[] = ["/run/systemd/nspawn-uid", `${RUN_DIRECTORY}/locks`];
/** Name of the lock file beside an image or a copy (systemd's lock-util.c). */
const LOCK = /^\.#.+\.lck$/;
/** Name of the lock file beside an --ephemeral copy: ".#" + name of the copy + ".lck" (systemd's lock-util.c). */
const COPY_LOCK = /^\.#(\.#(?:machine|snapshot)\..*[0-9a-f]{16})\.lck$/;

/** Options of removeLeftovers. */
interface LeftoversOptions {
  /** The lock files that heldLocks() returned while systemd-nspawn was still running. */
  readonly locks?: readonly string[];
  /** systemd-nspawn's directory; tests use another one. */
  readonly runDirectory?: string;
}

/**
 * The paths of an --ephemeral copy among the open files of the systemd-nspawn that made it: it holds the lock of its copy
 * as long as it lives. The copy's own name (".#machine.IMAGE", in 262 ".#snapshot.IMAGE", and 16 random digits, beside the image,
 * or within it if the image is a mount point) does not contain the machine's name, so this is the only reliable way.
 */
export function copyOfLocks(openFiles: readonly string[]): string | undefined {
  for (const file of openFiles) {
    const copy = COPY_LOCK.exec(basename(file))?.[1];
    if (copy !== undefined) return join(dirname(file), copy);
  }
  return undefined;
}

/** The lock files that a running systemd-nspawn holds: of its image or copy, and of its user ID range; none if it is gone. */
export function heldLocks(mainPid: number): readonly string[] {
  const directory = `/proc/${mainPid}/fd`;
  return ifThere(() => readdirSync(directory), [])
    .flatMap((fd) => ifThere(() => [readlinkSync(join(directory, fd))], []))
    .filter(isLock);
}

/** True for the path of one of systemd-nspawn's lock files. */
function isLock(path: string): boolean {
  return LOCK_DIRECTORIES.includes(dirname(path)) || LOCK.test(basename(path));
}

/** Mount points on the directories that a machine shares with the host, deepest first. */
export function mountsOfMachine(
  points: readonly string[],
  machine: string,
  runDirectory = RUN_DIRECTORY,
): readonly string[] {
  const shared = sharedDirectories(runDirectory, machine);
  return points
    .filter((path) => shared.some((directory) => path === directory || path.startsWith(`${directory}/`)))
    .toSorted((a, b) => b.length - a.length);
}

/** Whether a systemd-nspawn of this machine has, or has left, directories that it shares with the host. */
export function hasLeftovers(machine: string, runDirectory = RUN_DIRECTORY): boolean {
  return sharedDirectories(runDirectory, machine).some(
    (path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined,
  );
}

/**
 * Removes what a systemd-nspawn of this machine left because it could not clean up. Call it only when systemd-nspawn is
 * gone; does nothing after an orderly exit, and can be repeated.
 *
 * @returns what was removed, and as sentences what could not be removed
 * @throws Error for an invalid machine name
 */
export async function removeLeftovers(
  machine: string,
  options: LeftoversOptions = {},
): Promise<{ readonly removed: readonly string[]; readonly problems: readonly string[] }> {
  if (machine === "" || machine.startsWith(".") || machine.includes("/") || machine.includes("\0")) {
    throw new Error(`${JSON.stringify(machine)} is not a valid machine name.`);
  }
  const { runDirectory = RUN_DIRECTORY, locks = [] } = options;
  const copy = copyOfLocks(locks);
  const removed: string[] = [];
  const problems: string[] = [];
  // Without these directories nothing is mounted on them, and the mount table, which is long where many tasks run, is not read.
  const rounds = hasLeftovers(machine, runDirectory) ? MAX_STACKED : 0;
  for (let round = 0; round < rounds; round += 1) {
    const mounts = mountsOfMachine(mountPoints(`${runDirectory}/`), machine, runDirectory);
    if (mounts.length === 0) break;
    for (const path of mounts) {
      if (detachMount(path)) removed.push(path);
      else problems.push(`Cannot detach the mount ${path}.`);
    }
    if (problems.length > 0) break;
  }
  for (const path of sharedDirectories(runDirectory, machine)) collect(path, rmdirSync, removed, problems);
  if (runDirectory === RUN_DIRECTORY) removed.push(...removeRootDirectories());
  // Keep the lock as long as the copy exists, because the copy is found by it.
  if (copy !== undefined && !collect(copy, (path) => rmSync(path, { recursive: true }), removed, problems))
    return { removed, problems };
  for (const lock of locks.filter(isLock)) collect(lock, removeFreeLock, removed, problems);
  return { removed, problems };
}

/** Another systemd-nspawn may hold the lock by now; it checks after locking whether the file still exists. */
function removeFreeLock(path: string): void {
  using lock = lockOpened(openSync(path, "r"), path, "exclusive");
  if (lock !== undefined) unlinkSync(path);
}

/** True if the path is gone now. */
function collect(path: string, remove: (path: string) => void, removed: string[], problems: string[]): boolean {
  try {
    remove(path);
    if (!removed.includes(path)) removed.push(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return true;
    problems.push(`Cannot remove ${path}: ${errnoCode(error) ?? String(error)}.`);
    return false;
  }
}
