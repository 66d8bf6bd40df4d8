import { readdirSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoCode, isMissing } from "../host/errno";
import { detachMount } from "../host/libc";
import { type Mount, readMounts } from "../host/mounts";

/**
 * Below it systemd-nspawn keeps what a container shares with the host: propagate/MACHINE, a directory, and since 256
 * unix-export/MACHINE, a tmpfs. A SIGKILLed systemd-nspawn leaves both, and 256 and later then refuse to start the
 * machine again ("exists already, refusing").
 */
const RUN_DIRECTORY = "/run/systemd/nspawn";
const SHARED = ["unix-export", "propagate"] as const;

/** Mounts can be stacked; more than this many on one directory are not of systemd-nspawn's making. */
const MAX_STACKED = 16;

/** Name of the lock file beside an --ephemeral copy: ".#" + name of the copy + ".lck" (systemd's lock-util.c). */
const COPY_LOCK = /^\.#(\.#machine\..*[0-9a-f]{16})\.lck$/;

/** What was found and what could not be removed, in sentences. */
export interface RemainsReport {
  readonly removed: readonly string[];
  readonly problems: readonly string[];
}

/** Options of removeRemains. */
export interface RemainsOptions {
  /** The machine's --ephemeral copy as ephemeralCopy() told it while systemd-nspawn still ran. */
  readonly ephemeralCopy?: string | undefined;
  /** systemd-nspawn's directory; the tests have one of their own. */
  readonly runDirectory?: string;
}

/**
 * The paths of an --ephemeral copy among the open files of the systemd-nspawn that made it: it holds the lock of its copy
 * for as long as it lives. Nothing in the copy's own name (".#machine.IMAGE" and 16 random digits, beside the image,
 * or within it where the image is a mount point) says which machine it belongs to, so this is the only certain way.
 */
export function copyOfLocks(openFiles: readonly string[]): string | undefined {
  for (const file of openFiles) {
    const copy = COPY_LOCK.exec(basename(file))?.[1];
    if (copy !== undefined) return join(dirname(file), copy);
  }
  return undefined;
}

/** The --ephemeral copy a running systemd-nspawn works on; undefined when it has none, or is gone. */
export function ephemeralCopy(mainPid: number): string | undefined {
  try {
    const directory = `/proc/${mainPid}/fd`;
    return copyOfLocks(readdirSync(directory).flatMap((fd) => readLink(join(directory, fd))));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Mount points at the directories that a machine shares with the host, deepest first. */
export function mountsOfMachine(
  mounts: readonly Mount[],
  machine: string,
  runDirectory = RUN_DIRECTORY,
): readonly string[] {
  const shared = SHARED.map((name) => join(runDirectory, name, machine));
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
  const { runDirectory = RUN_DIRECTORY, ephemeralCopy: copy } = options;
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
  for (const name of SHARED) collect(join(runDirectory, name, machine), rmdirSync, removed, problems);
  if (copy !== undefined) removeCopy(copy, removed, problems);
  return { removed, problems };
}

/** The copy's lock file goes last: as long as it is there, the copy is known to have been one. */
function removeCopy(copy: string, removed: string[], problems: string[]): void {
  const lock = join(dirname(copy), `.#${basename(copy)}.lck`);
  if (!COPY_LOCK.test(basename(lock))) {
    problems.push(`${copy} is no copy made by systemd-nspawn and was not removed.`);
    return;
  }
  if (collect(copy, removeAll, removed, problems)) collect(lock, removeAll, removed, problems);
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
