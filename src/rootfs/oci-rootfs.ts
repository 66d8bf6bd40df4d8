import { parseImageConfig } from "../image/image-config";
import type { ContainerRoots } from "./container-roots";
import type { OciImages, OciRef } from "./oci-images";
import { mountOciRoot } from "./oci-root";
import type { ImageLease, PullWatch, RootfsProvider, RootfsRequest } from "./rootfs";

/** The dependencies of roots from OCI images. */
interface OciRootfsContext {
  readonly images: OciImages;
  readonly roots: ContainerRoots;
}

/** Roots from OCI images of the store: a snapshot of the image's layers for each machine, removed with it. */
export class OciRootfs implements RootfsProvider {
  constructor(private readonly context: OciRootfsContext) {}

  async check({ image, options }: RootfsRequest): Promise<void> {
    await this.context.images.check(options, ociRef(image));
  }

  async acquire(
    { image, options }: RootfsRequest,
    { signal, onProgress }: Pick<PullWatch, "signal" | "onProgress">,
  ): Promise<ImageLease> {
    const { images, roots } = this.context;
    using held = new DisposableStack();
    const { acquired, warnings } = await images.acquire(options, ociRef(image), {
      signal,
      onProgress: (progress) => onProgress({ image: options.image, ...progress }),
    });
    const { image: stored } = held.use(acquired);
    const config = parseImageConfig(stored.configText, JSON.stringify(options.image));
    const kept = held.move();
    return {
      config,
      mount: async (request) => {
        const rootfs = await mountOciRoot({ ...request, roots, stored, config });
        return { ...rootfs, warnings: [...warnings, ...rootfs.warnings] };
      },
      [Symbol.dispose]: () => kept.dispose(),
    };
  }
}

function ociRef(image: RootfsRequest["image"]): OciRef {
  if (image.kind === "host") throw new Error("An image of this host is not in the image store.");
  return image;
}
