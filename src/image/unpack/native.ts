import { lstatSync, type Stats } from "node:fs";
import { errnoCode } from "../../host/errno";
import type { ByteString } from "./tar-header";
import { shown, UnpackError } from "./unpack-error";

/** Seconds for Node's calls: a negative number would mean now, and a date loses fractions of a millisecond. */
export function timeOf(seconds: number): number | Date {
  return seconds < 0 ? new Date(seconds * 1000) : seconds;
}

/** A path for Node's calls: its exact bytes. */
export function native(path: ByteString): string | Buffer {
  return /^[ -~]*$/.test(path) ? path : Buffer.from(path, "latin1");
}

/** The status of a path itself; undefined if nothing exists there. @throws UnpackError if a parent is not a directory */
export function look(path: ByteString): Stats | undefined {
  try {
    return lstatSync(native(path));
  } catch (error) {
    if (errnoCode(error) === "ENOENT") return undefined;
    if (errnoCode(error) === "ENOTDIR")
      throw new UnpackError(`${shown(path)} is below something that is not a directory`);
    throw error;
  }
}

/** Whether two are names of the same file. */
export function isSame(one: Stats, other: Stats | undefined): boolean {
  return one.ino === other?.ino && one.dev === other.dev;
}

/** Whether it is a whiteout of overlayfs. */
export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}
