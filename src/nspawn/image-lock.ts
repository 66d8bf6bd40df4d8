import { closeSync, constants, mkdirSync, openSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoCode, ifThere, isMissing } from "../lib/errors";
import { readIfThere } from "../lib/files";
import { majorOf, minorOf } from "../linux/cgroup/devices";
import { type FileLock, isFileLocked, isSameFile, tryRecordLock } from "../linux/flock";
import { hostProcesses } from "../linux/proc";

/** The locks of images by their inode or device (systemd, discover-image.c, image_path_lock()). */
const LOCKS = "/run/systemd/nspawn/locks";

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
export function isImageInUse(path: string, locks = LOCKS): boolean {
  return ifThere(
    () => [join(dirname(path), `.#${basename(path)}.lck`), join(locks, lockName(path))].some(isHeld),
    false,
  );
}

function lockName(path: string): string {
  const stats = statSync(path, { bigint: true });
  const device = Number(stats.rdev);
  if (stats.isBlockDevice()) return `block-${majorOf(device)}:${minorOf(device)}`;
  return `inode-${stats.dev}:${stats.ino}`;
}

const LOCK = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/**
 * Takes a shared lock of a disk image or block device, as systemd-nspawn does for one that it only reads: until it is disposed of, or this
 * process ends, no systemd-nspawn writes to the image.
 *
 * @returns undefined if a container that may write to it has its lock
 */
export function shareImage(path: string, locks = LOCKS): FileLock | undefined {
  mkdirSync(locks, { recursive: true, mode: 0o700 });
  const file = join(locks, lockName(path));
  for (;;) {
    using open = new DisposableStack();
    const fd = open.adopt(openSync(file, LOCK, 0o600), closeSync);
    if (!tryRecordLock(fd, "shared")) return undefined;
    // The last one that had it may have removed it meanwhile.
    if (!isSameFile(file, fd)) continue;
    const kept = open.move();
    kept.defer(() => {
      if (tryRecordLock(fd) && isSameFile(file, fd)) unlinkSync(file);
    });
    return { fd, [Symbol.dispose]: () => kept.dispose() };
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
  using open = new DisposableStack();
  return isFileLocked(open.adopt(fd, closeSync));
}
