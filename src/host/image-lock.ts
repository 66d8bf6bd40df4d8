import { closeSync, openSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoCode, isMissing } from "./errno";
import { isFileLocked } from "./libc";

/**
 * Whether somebody uses a machine image: a running container on it, or machinectl. These hold a lock of its name and one of its
 * inode (systemd, discover-image.c, image_path_lock()).
 */
export function isImageInUse(path: string, locks = "/run/systemd/nspawn/locks"): boolean {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    const number = `inode-${dev.toString()}:${ino.toString()}`;
    return [join(dirname(path), `.#${basename(path)}.lck`), join(locks, number)].some(isHeld);
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function isHeld(file: string): boolean {
  let fd: number;
  try {
    fd = openSync(file, "r+");
  } catch (error) {
    if (isMissing(error) || errnoCode(error) === "EROFS") return false;
    throw error;
  }
  try {
    return isFileLocked(fd);
  } finally {
    closeSync(fd);
  }
}
