import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { PluginOptions } from "../config/plugin/options";
import type { TaskOptions } from "../config/task/options";
import { fetchByImportd } from "../image/machine/importd";
import { fetchNatively, provideMachineImage } from "../image/machine/provide";
import { type DownloadContext, isForImportd, type MachineImage } from "../image/machine/request";
import { ConfigError, errnoCode } from "../lib/errors";
import type { Progress } from "../lib/progress";
import { importdAvailable, systemdPresence } from "../systemd/presence";
import { isMachineName, isOnHost, requireAllowed, resolveImage } from "./resolve-image";

/** Directory of images of machinectl and image_download. */
const MACHINES = "/var/lib/machines";
const LOCKS = "/run/nomad-driver-nspawn/downloads";

/** What MachineImages depends on. */
export interface MachineImagesContext {
  /** The current plugin config. */
  readonly options: () => PluginOptions;
  readonly self: readonly string[];
  /** Base of relative image paths. */
  readonly pluginDir: string;
}

/** Cancellation and progress of a download. */
export interface DownloadWatch {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** Downloads the machine images (type tar or raw) of image_download blocks. */
export class MachineImages {
  readonly #context: MachineImagesContext;

  constructor(context: MachineImagesContext) {
    this.#context = context;
  }

  /**
   * Makes sure that the image of a task with an image_download block exists. Without `force`, does nothing if an image of that name
   * exists.
   *
   * @throws ConfigError, ImageError, SourceError, StoreError
   */
  async provide(
    task: Pick<TaskOptions, "image" | "image_download">,
    { signal, onProgress }: DownloadWatch,
  ): Promise<void> {
    const { image_download: download, image: name } = task;
    if (download === undefined || (download.type !== "tar" && download.type !== "raw")) return;
    const { options, pluginDir, self } = this.#context;
    const { image_paths: imagePaths, pull_timeout, registry, gc } = options();
    if (!download.force && (await isOnHost(name, { pluginDir }))) return;
    if (!isMachineName(name)) {
      throw new ConfigError(
        `Option image = ${JSON.stringify(name)} is not valid with image_download: it must be a name such as "debian", under which the image is stored in ${MACHINES}.`,
      );
    }
    const result = join(MACHINES, download.type === "raw" ? `${name}.raw` : name);
    await requireAllowed(name, result, imagePaths);
    const image: MachineImage = {
      name,
      url: await sourceUrl(download.url, imagePaths),
      type: download.type,
      verify: download.verify,
      force: download.force,
    };
    const context: DownloadContext = {
      directory: MACHINES,
      locks: LOCKS,
      self,
      ca: registry.ca,
      keepFree: gc.image_min_free,
      signal: AbortSignal.any([signal, AbortSignal.timeout(pull_timeout)]),
      onProgress: (received, total) => onProgress({ received, total }),
    };
    onProgress({});
    const byImportd =
      isForImportd(image.url) && registry.ca === undefined && systemdPresence().booted && importdAvailable();
    const fetch = byImportd
      ? fetchByImportd({
          directory: MACHINES,
          keepFree: context.keepFree,
          signal: context.signal,
          onPercent: (percent) => onProgress({ percent }),
        })
      : fetchNatively(context);
    await provideMachineImage(image, context, fetch);
    const { path } = await resolveImage(name, { pluginDir, imagePaths });
    if (path.startsWith(`${MACHINES}/`)) return;
    throw new ConfigError(
      `Option image = ${JSON.stringify(name)} refers to ${path}, which takes precedence over the downloaded ${result}: give the image another name.`,
    );
  }
}

/** A path is a file on this host, which image_paths must allow. */
async function sourceUrl(text: string, imagePaths: readonly string[]): Promise<URL> {
  const url = text.startsWith("/") ? pathToFileURL(text) : new URL(text);
  if (url.protocol !== "file:") return url;
  const path = Bun.fileURLToPath(url);
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    throw new ConfigError(
      `Option image_download.url = ${JSON.stringify(text)} cannot be read: ${errnoCode(error) ?? "unknown error"}.`,
    );
  }
  await requireAllowed(text, real, imagePaths);
  return pathToFileURL(real);
}
