import { closeSync, openSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoCode, ifThere, isMissing } from "../lib/errors";
import { readIfThere } from "../lib/files";
import { isFileLocked } from "../linux/flock";
import { hostProcesses } from "../linux/proc";

/** The options by which systemd-nspawn gets an image. */
const SWITCHES = ["--directory=", "--image=", "--mstack="] as const;

/**
 * Whether a systemd-nspawn has been started on an image and has no container yet: it may be about to lock the image, or to copy it for
 * an ephemeral container, for which it takes no lock (systemd 257, nspawn.c, run()).
 */
export function isImageBeingOpened(path: string): boolean {
  const wanted = SWITCHES.map((name) => name + path);
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    const argv = (readIfThere(`/proc/${name}/cmdline`) ?? "").split("\0");
    if (argv[0]?.endsWith("systemd-nspawn") !== true || !wanted.some((argument) => argv.includes(argument)))
      return false;
    return hostProcesses.children(Number(name)).length === 0;
  });
}

/**
 * Whether a machine image is in use, by a running container or machinectl. Both hold a lock of its name and one of its
 * inode (systemd, discover-image.c, image_path_lock()).
 */
export function isImageInUse(path: string, locks = "/run/systemd/nspawn/locks"): boolean {
  return ifThere(() => {
    const { dev, ino } = statSync(path, { bigint: true });
    const number = `inode-${dev.toString()}:${ino.toString()}`;
    return [join(dirname(path), `.#${basename(path)}.lck`), join(locks, number)].some(isHeld);
  }, false);
}

function isHeld(file: string): boolean {
  let fd: number;
  try {
    fd = openSync(file, "r+");
  } catch (error) {
    if (isMissing(error) || errnoCode(error) === "EROFS") return false;
    throw error;
  }
  using open = new DisposableStack();
  return isFileLocked(open.adopt(fd, closeSync));
}
