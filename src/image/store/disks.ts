/**
 * Disk images of the host that containers show: each is mounted for reading once, in a directory of the store's `disks`, and is the lower
 * layer of any number of roots, which share its pages in memory. It is mounted for the first container and unmounted after the last one:
 * the directory's lock is held shared from the mount until the container has its root, and exclusively to mount and to unmount. Afterwards
 * a file with the machine's name in `users` stands for the container, as long as the container's own directory exists.
 */

import { createHash } from "node:crypto";
import { constants, existsSync, openSync } from "node:fs";
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pollUntil } from "../../lib/deadline";
import { ifThere, ignoreMissing } from "../../lib/errors";
import { type FileLock, lockOpened, unusedLock } from "../../linux/flock";
import { isMountPoint, unmountAll } from "../../linux/overlay";
import { type DiskImage, mountDisk, partsOf } from "../disk/dissect";
import type { StorePaths } from "./store-format";

/** A disk image that is mounted until this is disposed of, or while a container uses it. */
export interface MountedDisk extends AsyncDisposable {
  /** The image, or the device. */
  readonly path: string;
  /** Its directory in `disks`. */
  readonly name: string;
  /** Where its root is mounted, for reading. */
  readonly root: string;
  /** Where its further file systems are mounted below the root, outer ones first; relative. */
  readonly parts: readonly string[];
}

const MODE = 0o700;
/** Mounting takes a while; another process may be doing it. */
const PACE = { firstMs: 2, longestMs: 50 };

function diskPaths(directory: string) {
  return { root: join(directory, "root"), users: join(directory, "users") };
}

/** Mounts of this process that have begun, by the disk's directory: others wait for them without asking for the lock. */
const mounting = new Map<string, Promise<void>>();

/**
 * Mounts a disk image for reading, or finds it mounted.
 *
 * @throws DiskError if it cannot be mounted
 */
export async function openDisk(paths: StorePaths, image: DiskImage): Promise<MountedDisk> {
  const name = await nameOf(image);
  const directory = join(paths.disks, name);
  const { root } = diskPaths(directory);
  for (;;) {
    const lock = lockDirectory(directory, "shared");
    if (lock !== undefined && (await isMountPoint(root, directory))) {
      const dispose = async () => {
        lock[Symbol.dispose]();
        await removeIfUnused(paths, name);
      };
      return { path: image.path, name, root, parts: partsOf(root), [Symbol.asyncDispose]: dispose };
    }
    lock?.[Symbol.dispose]();
    const begun = mounting.get(directory) ?? mountOnce(directory, image).finally(() => mounting.delete(directory));
    mounting.set(directory, begun);
    try {
      await begun;
    } catch (error) {
      await removeIfUnused(paths, name);
      throw error;
    }
  }
}

/** Records that a container with a directory uses a disk that is open. */
export async function addUser(paths: StorePaths, name: string, machine: string): Promise<void> {
  await writeFile(join(diskPaths(join(paths.disks, name)).users, machine), "", { mode: 0o600 });
}

/** Gives up a disk for a container whose directory does not exist any more, and unmounts the disk if no other one uses it. Idempotent. */
export async function removeUser(paths: StorePaths, name: string, machine: string): Promise<void> {
  await rm(join(diskPaths(join(paths.disks, name)).users, machine), { force: true });
  await removeIfUnused(paths, name);
}

/** Unmounts the disks that killed processes left, and removes those of an earlier boot. */
export async function removeUnusedDisks(paths: StorePaths): Promise<void> {
  for (const name of await readdir(paths.disks)) await removeIfUnused(paths, name);
}

/** The image's place and state: what has changed since is another disk. */
async function nameOf({ path, ...verity }: DiskImage): Promise<string> {
  const { dev, ino, rdev, size, mtimeNs } = await stat(path, { bigint: true });
  const facts = [path, verity, ...[dev, ino, rdev, size, mtimeNs].map(String)];
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 32);
}

async function mountOnce(directory: string, image: DiskImage): Promise<void> {
  const { root, users } = diskPaths(directory);
  using _lock = await pollUntil(async () => {
    await mkdir(directory, { recursive: true, mode: MODE });
    return lockDirectory(directory, "exclusive");
  }, PACE);
  for (const path of [root, users]) await mkdir(path, { recursive: true, mode: MODE });
  if (!(await isMountPoint(root, directory))) await mountDisk(image, root);
}

async function removeIfUnused(paths: StorePaths, name: string): Promise<void> {
  const directory = join(paths.disks, name);
  if (!existsSync(directory)) return;
  using lock = await unusedLock(() => lockDirectory(directory, "exclusive"));
  if (lock === undefined) return;
  const { root, users } = diskPaths(directory);
  const machines = (await readdir(users).catch(ignoreMissing)) ?? [];
  if (machines.some((machine) => existsSync(join(paths.containers, basename(machine))))) return;
  await unmountAll(root, directory);
  await rm(directory, { recursive: true, force: true });
}

/** Takes the lock of a disk's directory without waiting; undefined if another process holds it, or the directory does not exist. */
function lockDirectory(directory: string, kind: "shared" | "exclusive"): FileLock | undefined {
  const open = () => openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const fd = ifThere(open, undefined);
  return fd === undefined ? undefined : lockOpened(fd, directory, kind);
}
