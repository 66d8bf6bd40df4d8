import { readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../../host/errno";
import { exchangePaths } from "../../host/file-calls";
import { isImageBeingOpened, isImageInUse } from "../../host/image-lock";
import { StoreError } from "../store/store-error";
import type { MachineImage } from "./request";

/** An existing image of a name. */
export interface Present {
  readonly path: string;
  /** When it got this name, in milliseconds since the epoch. */
  readonly changed: number;
}

/** The images of a name: a directory, a disk image, or both. */
export async function imagesNamed(directory: string, name: string): Promise<Present[]> {
  const found: Present[] = [];
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
export function refuseUsed(name: string, images: readonly Present[]): void {
  const used = images.find(({ path }) => isImageInUse(path) || isImageBeingOpened(path));
  if (used === undefined) return;
  throw new StoreError(
    `image ${JSON.stringify(name)} cannot be replaced (image_download.force = true): ${used.path} is in use by a container.`,
    { recoverable: true },
  );
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
export async function putImage({ name, type }: MachineImage, scratch: string, directory: string): Promise<void> {
  const made = join(scratch, MADE);
  const target = join(directory, type === "raw" ? `${name}.raw` : name);
  refuseUsed(name, await imagesNamed(directory, name));
  const exchanged = exchangePaths(made, target);
  for (const [index, { path }] of (await imagesNamed(directory, name)).entries()) {
    if (!exchanged || path !== target) await rename(path, join(scratch, `replaced-${index}`));
  }
  if (!exchanged) await rename(made, target);
  for (const file of await readdir(scratch)) {
    if (file.startsWith(`${MADE}.`)) await rename(join(scratch, file), join(directory, name + file.slice(MADE.length)));
  }
}
