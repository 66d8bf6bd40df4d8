import { lstatSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { ifThere } from "../lib/errors";
import { findLeader } from "./processes";

/** Name of the directory on which systemd-nspawn 262 mounts a container's root before it moves it to its place. */
const ROOT = /^nspawn-root-[A-Za-z0-9]{6}$/;

/** Directories and checks; tests use other ones. */
interface RootDirectoryPlaces {
  /** Where systemd-nspawn creates these directories. */
  readonly directory?: string;
  /** True while any systemd-nspawn may still need its directory. */
  readonly someStarts?: () => boolean;
}

/**
 * Removes the empty directories /tmp/nspawn-root-XXXXXX that SIGKILLed systemd-nspawns left. Which machine one belongs to is unknown,
 * and a running container no longer needs its own, so all are removed, unless a systemd-nspawn is still starting: then they
 * are kept until the next container is removed.
 *
 * @returns the paths that were removed
 */
export function removeRootDirectories(places: RootDirectoryPlaces = {}): readonly string[] {
  const { directory = "/tmp", someStarts = nspawnStarts } = places;
  // Listed before the processes, so that directories created later are not removed.
  const found = readdirSync(directory).flatMap((name) => (ROOT.test(name) ? [join(directory, name)] : []));
  if (found.length === 0 || someStarts()) return [];
  return found.filter(removeOwnEmpty);
}

/** Any user may create such a directory in /tmp; those of systemd-nspawn belong to root, and rmdir(2) removes only empty ones. */
function removeOwnEmpty(path: string): boolean {
  try {
    const { uid } = lstatSync(path);
    if (uid !== 0) return false;
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether any systemd-nspawn is running whose container has no first process yet. */
function nspawnStarts(): boolean {
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    // False for a process that is gone.
    const isNspawn = () => readFileSync(`/proc/${name}/comm`, "utf8") === "systemd-nspawn\n";
    return ifThere(() => isNspawn() && findLeader(Number(name)) === undefined, false);
  });
}
