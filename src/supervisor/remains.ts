import { closeSync, openSync, readdirSync, readlinkSync, rmdirSync, rmSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoCode, isMissing } from "../host/errno";
import { detachMount, tryLock } from "../host/libc";
import { type Mount, readMounts } from "../host/mounts";
import { removeRootDirectories } from "./root-directories";

const RUN_DIRECTORY = "/run/systemd/nspawn";

/**
 * What systemd-nspawn keeps of a container below RUN_DIRECTORY, to share it with the host: propagate/MACHINE, a directory, and
 * a tmpfs, since 256 unix-export/MACHINE and in 262 MACHINE/unix-export. A SIGKILLed systemd-nspawn leaves both, and 256 and
 * later then refuse to start the machine again ("exists already, refusing"). Each is before the directory it is in.
 */
function sharedDirectories(runDirectory: string, machine: string): readonly string[] {
  const names = [`unix-export/${machine}`, `propagate/${machine}`, `${machine}/unix-export`, machine];
  return names.map((name) => join(runDirectory, name));
}

/** Mounts can be stacked; more than this many on one directory are not of systemd-nspawn's making. */
const MAX_STACKED = 16;

/** Where systemd-nspawn locks ranges of user IDs, and images by their inodes. */
const LOCK_DIRECTORIES: readonly string[] = ["/run/systemd/nspawn-uid", `${RUN_DIRECTORY}/locks`];
/** Name of the lock file beside an image or a copy (systemd's lock-util.c). */
const LOCK = /^\.#.+\.lck$/;
/** Name of the lock file beside an --ephemeral copy: ".#" + name of the copy + ".lck" (systemd's lock-util.c). */
const COPY_LOCK = /^\.#(\.#(?:machine|snapshot)\..*[0-9a-f]{16})\.lck$/;

/** What was found and what could not be removed, in sentences. */
export interface RemainsReport {
  readonly removed: readonly string[];
  readonly problems: readonly string[];
}

/** Options of removeRemains. */
export interface RemainsOptions {
  /** The lock files that heldLocks() told while systemd-nspawn still ran. */
  readonly locks?: readonly string[];
  /** systemd-nspawn's directory; the tests have one of their own. */
  readonly runDirectory?: string;
}

/**
 * The paths of an --ephemeral copy among the open files of the systemd-nspawn that made it: it holds the lock of its copy
 * for as long as it lives. Nothing in the copy's own name (".#machine.IMAGE", in 262
 * ".#snapshot.IMAGE", and 16 random digits, beside the image, or within it where the image is a mount point) says which machine it belongs to, so this is the only certain way.
 */
export function copyOfLocks(openFiles: readonly string[]): string | undefined {
  for (const file of openFiles) {
    const copy = COPY_LOCK.exec(basename(file))?.[1];
    if (copy !== undefined) return join(dirname(file), copy);
  }
  return undefined;
}

/** The lock files a running systemd-nspawn holds: of its image or copy, its range of user IDs; none when it is gone. */
export function heldLocks(mainPid: number): readonly string[] {
  try {
    const directory = `/proc/${mainPid}/fd`;
    return readdirSync(directory)
      .flatMap((fd) => readLink(join(directory, fd)))
      .filter(isLock);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** True for the path of a lock file of systemd-nspawn. */
function isLock(path: string): boolean {
  return LOCK_DIRECTORIES.includes(dirname(path)) || LOCK.test(basename(path));
}

/** Mount points at the directories that a machine shares with the host, deepest first. */
export function mountsOfMachine(
  mounts: readonly Mount[],
  machine: string,
  runDirectory = RUN_DIRECTORY,
): readonly string[] {
  const shared = sharedDirectories(runDirectory, machine);
  return mounts
    .map((mount) => mount.path)
    .filter((path) => shared.some((directory) => path === directory || path.startsWith(`${directory}/`)))
    .toSorted((a, b) => b.length - a.length);
}

/**
 * Removes what a systemd-nspawn of this machine left that could not clean up after itself. Only to be called when it is
 * gone; does nothing after an orderly end, and can be repeated.
 *
 * @throws Error for a name that is no machine's
 */
export async function removeRemains(machine: string, options: RemainsOptions = {}): Promise<RemainsReport> {
  if (machine === "" || machine.startsWith(".") || machine.includes("/") || machine.includes("\0")) {
    throw new Error(`${JSON.stringify(machine)} is no machine name.`);
  }
  const { runDirectory = RUN_DIRECTORY, locks = [] } = options;
  const copy = copyOfLocks(locks);
  const removed: string[] = [];
  const problems: string[] = [];
  for (let round = 0; round < MAX_STACKED; round += 1) {
    const mounts = mountsOfMachine(readMounts(), machine, runDirectory);
    if (mounts.length === 0) break;
    for (const path of mounts) {
      if (detachMount(path)) removed.push(path);
      else problems.push(`The mount ${path} could not be detached.`);
    }
    if (problems.length > 0) break;
  }
  for (const path of sharedDirectories(runDirectory, machine)) collect(path, rmdirSync, removed, problems);
  if (runDirectory === RUN_DIRECTORY) removed.push(...removeRootDirectories());
  // Its lock stays for as long as the copy is there, which is known by it.
  if (copy !== undefined && !collect(copy, removeAll, removed, problems)) return { removed, problems };
  for (const lock of locks.filter(isLock)) collect(lock, removeFreeLock, removed, problems);
  return { removed, problems };
}

/** Another systemd-nspawn may hold the lock by now; it looks again whether the file it locked is still there. */
function removeFreeLock(path: string): void {
  const fd = openSync(path, "r");
  try {
    if (tryLock(fd)) unlinkSync(path);
  } finally {
    closeSync(fd);
  }
}

function removeAll(path: string): void {
  rmSync(path, { recursive: true });
}

/** True when the path is gone now. */
function collect(path: string, remove: (path: string) => void, removed: string[], problems: string[]): boolean {
  try {
    remove(path);
    if (!removed.includes(path)) removed.push(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return true;
    problems.push(`${path} could not be removed: ${errnoCode(error) ?? String(error)}.`);
    return false;
  }
}

function readLink(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
