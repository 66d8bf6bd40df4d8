import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { PluginOptions } from "../config/plugin/options";
import type { TaskOptions } from "../config/task/options";
import { DownloadedImages } from "../image/machine/downloaded";
import { fetchByImportd } from "../image/machine/importd";
import { type Fetch, fetchNatively, provideMachineImage } from "../image/machine/provide";
import { type DownloadContext, isForImportd, type MachineImage } from "../image/machine/request";
import { type Progress, SourceError } from "../image/source";
import { ConfigError, errnoCode } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { importdAvailable, systemdPresence } from "../systemd/presence";
import { GcTimer } from "./gc-timer";
import type { PullObserver } from "./pull-observer";
import { isMachineName, isOnHost, requireAllowed, resolveImage } from "./resolve-image";
import { provideFromTemplate } from "./template";

/** Directory of images of machinectl and image_download. */
const MACHINES = "/var/lib/machines";
/** Of the records of downloaded images, in the image store. */
const RECORDS = "machine-images";
const LOCKS = "/run/nomad-driver-nspawn/downloads";

/** The dependencies of MachineImages. */
interface MachineImagesContext {
  /** The current plugin config. */
  readonly options: () => PluginOptions;
  /** Base of relative image paths. */
  readonly pluginDir: string;
  /** See DownloadContext. */
  readonly isUsed: (path: string) => Promise<boolean>;
  readonly log: Logger;
  readonly pulls?: PullObserver;
}

/** Minimum delay until the next garbage collection while downloaded images are left. */
const SOONEST_MS = 1000;

/**
 * The images that image_download of type tar or raw has put into /var/lib/machines.
 *
 * @param store the directory of the image store, where the records of them are
 * @param isUsed whether a container of the store has a directory as its root
 */
export function downloadedImages(store: string, isUsed: (path: string) => Promise<boolean>): DownloadedImages {
  return new DownloadedImages({ records: join(store, RECORDS), machines: MACHINES, locks: LOCKS, isUsed });
}

/** The properties of a task that determine its download. */
type DownloadTask = Pick<TaskOptions, "image" | "image_download"> & Partial<Pick<TaskOptions, "image_pull_timeout">>;

/** Receives the progress of a download, and cancels it. */
interface DownloadWatch {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** Downloads the machine images (type tar or raw) of image_download blocks, and removes those that are not used any more. */
export class MachineImages {
  readonly #timer: GcTimer;

  constructor(private readonly context: MachineImagesContext) {
    this.#timer = new GcTimer(() => this.#collect(), context.log);
  }

  /** Refuses what can be refused without a download. @throws ConfigError, ImageError */
  async check(task: DownloadTask): Promise<void> {
    await this.#wanted(task);
  }

  /**
   * Keeps the image of a task from garbage collection until the lease is disposed of; take it before provide().
   *
   * @throws what `signal` aborts with
   */
  lease({ image, image_download: download }: DownloadTask, signal: AbortSignal): Promise<Disposable> {
    const name = nameOf(image);
    if (name === undefined) return Promise.resolve({ [Symbol.dispose]: () => {} });
    return this.#downloaded.lease(name, download?.type === "tar" || download?.type === "raw", signal);
  }

  /** Records that a container may write into an image. @param allocation its directory */
  async markWritten(path: string, allocation: string): Promise<void> {
    if (dirname(path) === MACHINES) await this.#downloaded.markWritten(path, allocation);
  }

  /** Schedules garbage collection: a downloaded image that is no longer used is removed after gc.image_delay. */
  scheduleGc(): void {
    const { gc } = this.context.options();
    if (gc.image) this.#timer.startIn(gc.image_delay + 1);
  }

  /**
   * Makes the image of a task available if it has an image_download block. Without `force` nothing is done if an image of that name
   * exists.
   *
   * @throws ConfigError, ImageError, SourceError, StoreError
   */
  async provide(task: DownloadTask, { signal, onProgress }: DownloadWatch): Promise<void> {
    const image = await this.#wanted(task);
    if (image === undefined) return;
    const { options, pluginDir, isUsed, pulls } = this.context;
    let bytes = 0;
    const { image_paths: imagePaths, pull_timeout, registry, gc } = options();
    const context: DownloadContext = {
      directory: MACHINES,
      locks: LOCKS,
      ca: registry.ca,
      keepFree: gc.image_min_free,
      isUsed,
      onMade: (made, scratch) => this.#downloaded.record(made, scratch),
      signal: AbortSignal.any([signal, AbortSignal.timeout(task.image_pull_timeout ?? pull_timeout)]),
      onProgress: (received, total) => {
        bytes = received;
        onProgress({ received, total });
      },
    };
    onProgress({});
    const start = performance.now();
    try {
      await provideMachineImage(image, context, fetcherOf(image, context, onProgress));
    } catch (error) {
      pulls?.failed(error);
      throw error;
    }
    pulls?.done({ bytes, ms: performance.now() - start });
    this.scheduleGc();
    const { path } = await resolveImage(image.name, { pluginDir, imagePaths });
    if (path.startsWith(`${MACHINES}/`)) return;
    throw new ConfigError(
      `Option image = ${JSON.stringify(image.name)} resolves to ${path}, which takes precedence over the downloaded ${resultOf(image)}: give the image another name.`,
    );
  }

  /** Makes the image of a task with a template; see provideFromTemplate(). @throws ConfigError, ImageError, StoreError */
  async provideFromTemplate(task: Pick<TaskOptions, "image" | "template">, signal: AbortSignal): Promise<void> {
    const { image_paths: imagePaths, gc } = this.context.options();
    const places = { directory: MACHINES, locks: LOCKS, pluginDir: this.context.pluginDir, imagePaths };
    await provideFromTemplate(task, { ...places, keepFree: gc.image_min_free, signal });
  }

  get #downloaded(): DownloadedImages {
    return downloadedImages(this.context.options().image_store, this.context.isUsed);
  }

  async #collect(): Promise<void> {
    const { gc } = this.context.options();
    if (!gc.image) return;
    const { removed, left } = await this.#downloaded.collect(Date.now() - gc.image_delay);
    if (removed.length > 0) this.context.log.info("unused machine images removed", { images: removed.join(" ") });
    if (left > 0) this.#timer.startIn(Math.max(SOONEST_MS, gc.image_delay));
  }

  /** The image to download; undefined if none is needed. */
  async #wanted({ image: name, image_download: download }: DownloadTask): Promise<MachineImage | undefined> {
    if (download === undefined || (download.type !== "tar" && download.type !== "raw")) return undefined;
    const { options, pluginDir } = this.context;
    const { image_paths: imagePaths } = options();
    if (!download.force && (await isOnHost(name, { pluginDir }))) return undefined;
    if (!isMachineName(name)) {
      throw new ConfigError(
        `Option image = ${JSON.stringify(name)} is not valid with image_download: it must be a name such as "debian", under which the image is stored in ${MACHINES}.`,
      );
    }
    const { type, verify, force } = download;
    await requireAllowed(name, resultOf({ name, type }), imagePaths);
    return { name, url: await sourceUrl(download.url, imagePaths), type, verify, force };
  }
}

const resultOf = ({ name, type }: Pick<MachineImage, "name" | "type">) =>
  join(MACHINES, type === "raw" ? `${name}.raw` : name);

/** The name that an image has in /var/lib/machines; undefined if it cannot be one of these. */
function nameOf(image: string): string | undefined {
  if (isMachineName(image)) return image;
  return dirname(image) === MACHINES ? basename(image).replace(/\.raw$/, "") : undefined;
}

/** Downloads with systemd-importd if it runs and supports the request, otherwise with the driver's own downloader. */
function fetcherOf(image: MachineImage, context: DownloadContext, onProgress: DownloadWatch["onProgress"]): Fetch {
  const { keepFree, signal, ca } = context;
  const natively = fetchNatively(context);
  const usable = isForImportd(image.url) && ca === undefined && systemdPresence().booted && importdAvailable();
  if (!usable) return natively;
  const onPercent = (percent: number) => onProgress({ percent });
  const byImportd = fetchByImportd({ directory: MACHINES, keepFree, signal, onPercent });
  return async (...request) => {
    try {
      await byImportd(...request);
    } catch (error) {
      if (!(error instanceof SourceError && error.problem === "unsupported")) throw error;
      await natively(...request);
    }
  };
}

/** A path is a file on this host, which image_paths must allow. */
async function sourceUrl(text: string, imagePaths: readonly string[]): Promise<URL> {
  const url = text.startsWith("/") ? pathToFileURL(text) : new URL(text);
  if (url.protocol !== "file:") return url;
  const real = await realpath(Bun.fileURLToPath(url)).catch((error: unknown) => {
    throw new ConfigError(
      `Option image_download.url = ${JSON.stringify(text)} cannot be read: ${errnoCode(error) ?? "unknown error"}.`,
    );
  });
  await requireAllowed(text, real, imagePaths);
  return pathToFileURL(real);
}
