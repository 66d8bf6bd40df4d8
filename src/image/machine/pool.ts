/**
 * Machine images: directories and disk images in /var/lib/machines, as machinectl has them, which `image_download` of type tar or raw
 * creates. provide.ts makes sure that one exists. It is downloaded by systemd-importd, where that runs and the URL is not secret
 * (importd.ts; the transfer survives a killed plugin), or by this program (fetch.ts, expand.ts). verify.ts checks it against a list of
 * checksums and the list's signature, with systemd's keyring.
 *
 * An image is created in a *scratch* directory beside its final place, synced to the disk, and then moved to its name: what has a final
 * name is complete. One download lock for each name excludes other processes; a scratch directory whose lock is free is *abandoned* and
 * removed by the next download. This file has these names, locks and moves.
 */

import { createHash } from "node:crypto";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing, StoreError } from "../../lib/errors";
import { exchangePaths } from "../../linux/files";
import { type NamedLock, namedLock, tryFileLock } from "../../linux/flock";
import { isImageBeingOpened, isImageInUse } from "../../nspawn/image-lock";
import type { DownloadContext, MachineImage } from "./request";

/** An existing image of a name. */
interface ExistingImage {
  readonly path: string;
  /** When it got this name, in milliseconds since the epoch. */
  readonly changed: number;
}

/** The images of a name: a directory, a disk image, or both. */
export async function imagesNamed(directory: string, name: string): Promise<ExistingImage[]> {
  const found: ExistingImage[] = [];
  for (const path of [join(directory, name), join(directory, `${name}.raw`)]) {
    try {
      found.push({ path, changed: (await stat(path)).ctimeMs });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return found;
}

/** @throws StoreError if a container runs on an image that would be replaced */
export async function assertNotInUse(
  name: string,
  images: readonly ExistingImage[],
  { isUsed }: Pick<DownloadContext, "isUsed">,
): Promise<void> {
  for (const { path } of images) {
    if (!isImageInUse(path) && !isImageBeingOpened(path) && (await isUsed?.(path)) !== true) continue;
    throw new StoreError(
      `image ${JSON.stringify(name)} cannot be replaced (image_download.force = true): ${path} is in use by a container.`,
      { recoverable: true },
    );
  }
}

/** The name of an image under construction, in its scratch directory; files that belong to it have this name and a suffix. */
export const MADE = "image";

/**
 * Moves a new image to its name. An existing image of that name stays until the new one replaces it; it is then removed with the
 * scratch directory, as is one of the other type. A container that started on it meanwhile keeps it.
 *
 * @param scratch where the image was created, see {@link MADE}
 * @throws StoreError
 */
export async function importImage(
  { name, type }: MachineImage,
  scratch: string,
  context: Pick<DownloadContext, "directory" | "isUsed">,
): Promise<void> {
  const { directory } = context;
  const made = join(scratch, MADE);
  const target = join(directory, type === "raw" ? `${name}.raw` : name);
  await assertNotInUse(name, await imagesNamed(directory, name), context);
  const exchanged = exchangePaths(made, target);
  for (const [index, { path }] of (await imagesNamed(directory, name)).entries()) {
    if (!exchanged || path !== target) await rename(path, join(scratch, `replaced-${index}`));
  }
  if (!exchanged) await rename(made, target);
  for (const file of await readdir(scratch)) {
    if (file.startsWith(`${MADE}.`)) await rename(join(scratch, file), join(directory, name + file.slice(MADE.length)));
  }
}

/** systemd ignores files with such names in a directory of images. */
const SCRATCH = ".#nomad-driver-nspawn-";
const LOCK = ".lock";
/** The name of an image that systemd-importd creates for the driver: see importd-bus.ts. It rejects names that begin with ".#". */
export const TRANSFER_PREFIX = "nomad-driver-nspawn-";
/** Matches such a name, or that of a file beside it. */
const TRANSFERRED = new RegExp(`^${TRANSFER_PREFIX}([0-9a-f]{24})-[0-9a-f]{12}(?:\\.|$)`);

/** Held while an image of a name is downloaded. A child process of the holder inherits its file, and so keeps others out as long as it lives. */
export type DownloadLock = NamedLock;

/** The directory in which an image is created, beside its final place. */
export function scratchPath(directory: string, name: string): string {
  return join(directory, `${SCRATCH}${idOf(name)}`);
}

/** Waits until no other process downloads an image of this name. @throws what `signal` aborts with */
export function lockDownload(locks: string, name: string, signal: AbortSignal): Promise<DownloadLock> {
  return namedLock(locks, `${idOf(name)}${LOCK}`, signal);
}

/** Removes what downloads left whose processes are gone. Call it with the lock of the image to be created. */
export async function removeAbandoned(directory: string, locks: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const id = name.startsWith(SCRATCH) ? name.slice(SCRATCH.length) : TRANSFERRED.exec(name)?.[1];
    if (id === undefined) continue;
    const path = join(locks, `${id}${LOCK}`);
    using lock = tryFileLock(path, "exclusive");
    // Its own directory, which it has locked, is created again.
    if (lock !== undefined) await rm(path, { force: true });
    if (lock !== undefined) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** An image's name as a part of file names. */
export function idOf(name: string): string {
  return createHash("sha256").update(name).digest("hex").slice(0, 24);
}
