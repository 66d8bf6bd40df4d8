import type { PluginOptions } from "../config/plugin/options";
import { ConfigError } from "../lib/errors";
import { isWritable } from "./complete-root";
import type { ContainerRoots } from "./container-roots";
import { mountHostImage, refuseNoSystem } from "./host-root";
import type { MachineImages } from "./machine-images";
import { refuseMountStack } from "./mount-stack";
import { type ResolvedImage, resolveImage } from "./resolve-image";
import type { ImageLease, PullWatch, RootfsProvider, RootfsRequest } from "./rootfs";
import { refuseTemplatePlace } from "./template";
import { verityFiles } from "./verity-files";

/** The dependencies of roots from host images. */
interface HostRootfsContext {
  /** The current plugin config. */
  readonly options: () => PluginOptions;
  /** Base of relative image paths. */
  readonly pluginDir: string;
  readonly roots: ContainerRoots;
  readonly images: MachineImages;
}

/** Roots from directories, disk images and devices of this host: see host-root.ts. */
export class HostRootfs implements RootfsProvider {
  constructor(private readonly context: HostRootfsContext) {}

  async check({ options }: RootfsRequest): Promise<void> {
    refuseUnlimited(options);
    refuseTemplatePlace(options);
    await this.context.images.check(options);
  }

  async acquire(
    { options, image: origin }: RootfsRequest,
    { signal, onProgress }: Pick<PullWatch, "signal" | "onProgress">,
  ): Promise<ImageLease> {
    const { image } = options;
    const { roots, images } = this.context;
    using held = new DisposableStack();
    held.use(await images.lease(options, signal));
    await images.provide(options, { signal, onProgress: (progress) => onProgress({ image, ...progress }) });
    await images.provideFromTemplate(options, signal);
    const inTask = origin.kind === "host" ? origin.inTask : undefined;
    const place = await this.#find(options, inTask);
    const { options: plugin, pluginDir } = this.context;
    const verity = await verityFiles(options, place, { pluginDir, imagePaths: plugin().image_paths });
    const kept = held.move();
    return {
      config: undefined,
      mount: async (job) => {
        if (place.kind === "mstack") refuseMountStack(job.options, job.features, inTask !== undefined);
        const asked = { ...job, options: { ...job.options, ...verity } };
        const request = inTask === undefined || place.kind !== "directory" ? asked : keptUnchanged(asked);
        const rootfs = await mountHostImage(place, request, roots);
        const { ephemeral } = request.options;
        const written = rootfs.image.path === place.path && !ephemeral && isWritable(request.options);
        if (written) await images.markWritten(place.path, request.allocation);
        return rootfs;
      },
      [Symbol.dispose]: () => kept.dispose(),
    };
  }

  /** @param inTask where the image is in the task's directory, to which image_paths does not apply */
  async #find(task: RootfsRequest["options"], inTask: string | undefined): Promise<ResolvedImage> {
    const { options, pluginDir } = this.context;
    const imagePaths = inTask === undefined ? options().image_paths : [];
    const place = await resolveImage(inTask ?? task.image, { pluginDir, imagePaths });
    if (place.kind === "directory") await refuseNoSystem(place.path, task);
    return place;
  }
}

/**
 * A root directory in the task's directory stays as it is: the container sees it a second time below /local, where systemd-nspawn cannot map
 * the owners of a tree that contains the mounted root (EBUSY).
 */
function keptUnchanged(request: RootfsRequest): RootfsRequest {
  const { options } = request;
  return isWritable(options) ? { ...request, options: { ...options, ephemeral: true } } : request;
}

/** Refuses a limit of changes that reach the image, where nothing separates them from it. @throws ConfigError */
function refuseUnlimited({ image, storage_limit, ...options }: RootfsRequest["options"]): void {
  const { ephemeral, read_only, volatile } = options;
  if (storage_limit === undefined || ephemeral || read_only || volatile === "overlay") return;
  throw new ConfigError(
    `Option storage_limit is not possible for the image ${JSON.stringify(image)}, which the task changes itself: set ephemeral = true, or volatile = "overlay".`,
  );
}
