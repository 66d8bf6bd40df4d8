import { lstatSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { isMissing } from "../host/errno";
import { findLeader } from "./payload";

/** Name of the directory on which systemd-nspawn 262 mounts a container's root before it moves it to its place. */
const ROOT = /^nspawn-root-[A-Za-z0-9]{6}$/;

/** Where to look; the tests have directories of their own. */
export interface RootDirectoryPlaces {
  /** Where systemd-nspawn makes these directories. */
  readonly directory?: string;
  /** True while some systemd-nspawn may still need its directory. */
  readonly someStarts?: () => boolean;
}

/**
 * Removes the empty directories /tmp/nspawn-root-XXXXXX that SIGKILLed systemd-nspawns left. Nothing says whose each is, and a
 * running container needs its own no more, so all of them go, unless a systemd-nspawn is in the middle of its start: then they
 * stay until the next container goes.
 *
 * @returns the paths that were removed
 */
export function removeRootDirectories(places: RootDirectoryPlaces = {}): readonly string[] {
  const { directory = "/tmp", someStarts = nspawnStarts } = places;
  // Listed before the processes: of what is made later nothing is removed.
  const found = readdirSync(directory).flatMap((name) => (ROOT.test(name) ? [join(directory, name)] : []));
  if (found.length === 0 || someStarts()) return [];
  return found.filter(removeOwnEmpty);
}

/** Anybody may make such a directory in /tmp; systemd-nspawn's are root's, and rmdir(2) removes no other than empty ones. */
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

/** Whether there is a systemd-nspawn whose container has no first process yet. */
function nspawnStarts(): boolean {
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      if (readFileSync(`/proc/${name}/comm`, "utf8") !== "systemd-nspawn\n") return false;
      return findLeader(Number(name)) === undefined;
    } catch (error) {
      // One that is gone.
      if (isMissing(error)) return false;
      throw error;
    }
  });
}
