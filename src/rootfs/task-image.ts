import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { parseImageConfig } from "../image/image-config";
import type { StoredImage } from "../image/store/store-format";
import type { PrepareContext } from "../launch/prepare";
import { ConfigError } from "../lib/errors";
import type { Progress } from "../lib/progress";
import { withImageDefaults } from "./image-defaults";
import { taskImageOrigin } from "./image-ref";
import { osTreeProblem } from "./os-tree";
import { type ResolvedImage, resolveImage } from "./resolve-image";
import { withoutCopies } from "./stored-root";

/** A task with its image. */
export interface TaskImage extends Disposable {
  /** The image for systemd-nspawn; for a stored image, the path that its root will have. */
  readonly place: ResolvedImage;
  /** The image in the store, which is not removed until this is disposed; absent for an image of the host. */
  readonly stored?: StoredImage;
  /** The task's options, with the image's defaults. */
  readonly options: TaskOptions;
  readonly stopSignal?: string;
  readonly notes: readonly string[];
}

/**
 * Finds the image of a task; downloads it if necessary.
 *
 * @param decoded the task's options as in the job
 * @throws ConfigError, ImageError, StoreError, SourceError and the errors of a download
 */
export async function taskImage(
  config: Pick<TaskConfig, "env" | "deviceEnv" | "user">,
  decoded: TaskOptions,
  machine: string,
  context: PrepareContext,
): Promise<TaskImage> {
  const { pluginDir, images } = context;
  const watch = {
    signal: context.signal,
    onProgress: (progress: Progress) => context.onProgress({ image: decoded.image, ...progress }),
  };
  const origin = taskImageOrigin(decoded, { pluginDir });
  if (origin.kind === "host") {
    await context.machineImages.provide(decoded, watch);
    const place = await resolveImage(decoded.image, { pluginDir, imagePaths: context.plugin.image_paths });
    if (place.kind === "directory") {
      const { boot, pivot_root } = decoded;
      const problem = await osTreeProblem(place.path, { boot, pivotRoot: pivot_root?.newRoot });
      if (problem !== undefined) throw new ConfigError(problem);
    }
    return { place, options: decoded, notes: [], [Symbol.dispose]: () => {} };
  }
  const acquired = await images.acquire(decoded, origin, watch);
  try {
    const { image } = acquired;
    const words = { environment: { ...config.env, ...config.deviceEnv }, user: config.user };
    const imageConfig = parseImageConfig(image.configText, JSON.stringify(decoded.image));
    return {
      ...withImageDefaults(withoutCopies(decoded), words, imageConfig),
      place: { kind: "directory", path: images.store.containerDirectory(machine) },
      stored: image,
      [Symbol.dispose]: () => acquired[Symbol.dispose](),
    };
  } catch (error) {
    acquired[Symbol.dispose]();
    throw error;
  }
}
