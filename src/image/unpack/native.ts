import { lstatSync, type Stats } from "node:fs";
import { errnoCode } from "../../host/errno";
import type { ByteString } from "./tar-header";
import { shown, UnpackError } from "./unpack-error";

/** Seconds as Node's calls take them: a negative number would be now, a date loses what is below a millisecond. */
export function timeOf(seconds: number): number | Date {
  return seconds < 0 ? new Date(seconds * 1000) : seconds;
}

/** A path as Node's calls take it: its very bytes. */
export function native(path: ByteString): string | Buffer {
  return /^[ -~]*$/.test(path) ? path : Buffer.from(path, "latin1");
}

/** What is at a path itself; undefined where nothing is. @throws UnpackError below what is no directory */
export function look(path: ByteString): Stats | undefined {
  try {
    return lstatSync(native(path));
  } catch (error) {
    if (errnoCode(error) === "ENOENT") return undefined;
    if (errnoCode(error) === "ENOTDIR") throw new UnpackError(`${shown(path)} lies below what is no directory`);
    throw error;
  }
}

/** Whether two are names of one file. */
export function isSame(one: Stats, other: Stats | undefined): boolean {
  return one.ino === other?.ino && one.dev === other.dev;
}

/** Whether it is what overlayfs takes for "there is nothing here". */
export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}
