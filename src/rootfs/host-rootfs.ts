import { mountTargets } from "../config/combinations";
import type { PluginOptions } from "../config/plugin/options";
import { ConfigError } from "../lib/errors";
import { MachineImages } from "./machine-images";
import { missingInImage, refuseMissingMountPoints } from "./mount-points";
import { osTreeProblem } from "./os-tree";
import { type ResolvedImage, resolveImage } from "./resolve-image";
import type { ImageLease, PullWatch, Rootfs, RootfsProvider, RootfsRequest } from "./rootfs";

/** The dependencies of roots from host images. */
interface HostRootfsContext {
  /** The current plugin config. */
  readonly options: () => PluginOptions;
  /** Base of relative image paths. */
  readonly pluginDir: string;
}

/** Roots from directories, disk images and devices of this host: systemd-nspawn gets them unchanged, so release() has nothing to do. */
export class HostRootfs implements RootfsProvider {
  readonly #context: HostRootfsContext;
  readonly #images: MachineImages;

  constructor(context: HostRootfsContext) {
    this.#context = context;
    this.#images = new MachineImages(context);
  }

  async check({ options }: RootfsRequest): Promise<void> {
    await this.#images.check(options);
  }

  async acquire(
    { options }: RootfsRequest,
    { signal, onProgress }: Pick<PullWatch, "signal" | "onProgress">,
  ): Promise<ImageLease> {
    const { image } = options;
    await this.#images.provide(options, { signal, onProgress: (progress) => onProgress({ image, ...progress }) });
    const place = await this.#find(options);
    return { config: undefined, mount: (request) => mountHostImage(place, request), [Symbol.dispose]: () => {} };
  }

  async configOf(): Promise<undefined> {}

  async release(): Promise<void> {}

  async #find({ image, boot, pivot_root }: RootfsRequest["options"]): Promise<ResolvedImage> {
    const { options, pluginDir } = this.#context;
    const place = await resolveImage(image, { pluginDir, imagePaths: options().image_paths });
    if (place.kind === "directory") {
      const problem = await osTreeProblem(place.path, { boot, pivotRoot: pivot_root?.newRoot });
      if (problem !== undefined) throw new ConfigError(problem);
    }
    return place;
  }
}

async function mountHostImage(place: ResolvedImage, { options, mounts }: RootfsRequest): Promise<Rootfs> {
  const targets = [...mounts.map(({ target }) => target), ...mountTargets(options).map(([, target]) => target)];
  await refuseMissingMountPoints(place, options, targets);
  return {
    image: place,
    options,
    mounts,
    environment: {},
    warnings: [],
    canMountAt: async (path) => (await missingInImage(place, options, [path])) === undefined,
  };
}
