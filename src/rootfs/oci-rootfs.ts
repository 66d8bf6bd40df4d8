import { type ImageConfig, parseImageConfig } from "../image/image-config";
import { imageOfRoot, releaseRoot } from "../image/store/image-store";
import { readRootNote, removeRootNote, writeRootNote } from "../machine/files";
import type { OciImages, OciRef } from "./oci-images";
import { mountOciRoot } from "./oci-root";
import type { ImageLease, PullWatch, RootfsProvider, RootfsRequest } from "./rootfs";

/** Roots from OCI images of the store: a snapshot of the image's layers for each machine, removed with it. */
export class OciRootfs implements RootfsProvider {
  readonly #images: OciImages;

  constructor(images: OciImages) {
    this.#images = images;
  }

  async check({ image, options }: RootfsRequest): Promise<void> {
    await this.#images.check(options, ociRef(image));
  }

  async acquire(
    { image, options }: RootfsRequest,
    { signal, onProgress }: Pick<PullWatch, "signal" | "onProgress">,
  ): Promise<ImageLease> {
    const acquired = await this.#images.acquire(options, ociRef(image), {
      signal,
      onProgress: (progress) => onProgress({ image: options.image, ...progress }),
    });
    try {
      const { store } = this.#images;
      const stored = acquired.image;
      return {
        config: parseImageConfig(stored.configText, JSON.stringify(options.image)),
        mount: async (request) => {
          await writeRootNote(request.machine, store.containerDirectory(request.machine));
          return mountOciRoot({ ...request, store, stored });
        },
        [Symbol.dispose]: () => acquired[Symbol.dispose](),
      };
    } catch (error) {
      acquired[Symbol.dispose]();
      throw error;
    }
  }

  async configOf(machine: string): Promise<ImageConfig | undefined> {
    const root = await readRootNote(machine);
    const image = root === undefined ? undefined : await imageOfRoot(root);
    return image === undefined ? undefined : parseImageConfig(image.configText, `of machine ${machine}`);
  }

  async release(machine: string): Promise<void> {
    const root = await readRootNote(machine);
    if (root === undefined) return;
    await releaseRoot(root);
    await removeRootNote(machine);
    this.#images.scheduleGc();
  }
}

function ociRef(image: RootfsRequest["image"]): OciRef {
  if (image.kind === "host") throw new Error("An image of this host is not in the image store.");
  return image;
}
