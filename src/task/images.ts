import { existsSync } from "node:fs";
import type { TaskOptions } from "../config/options";
import type { PluginOptions } from "../config/plugin-options";
import { errorText } from "../host/error-text";
import { startTimer } from "../host/long-timer";
import { abortError } from "../image/http/transfer-error";
import { ociLayoutSource } from "../image/oci-layout";
import type { ImageOrigin } from "../image/origin";
import { formatReference, parseReference } from "../image/reference";
import { registrySource } from "../image/registry/registry-source";
import { allowedDirectory, requireAllowed } from "../image/resolve";
import { type ImageSource, SourceError } from "../image/source";
import { type AcquiredImage, ImageStore } from "../image/store/image-store";
import type { PullProgress } from "../image/store/pull";
import type { Logger } from "../plugin/logger";
import { isClaimed } from "./files";
import { registryOptions } from "./registry-options";

/** How long after somebody was using the store it is tried again to collect what nobody uses. */
const AGAIN_MS = 10_000;
/** How long after collecting it is looked again whether something younger has become old enough, at least. */
const SOONEST_MS = 1000;

/** What the images of a plugin process depend on. */
export interface ImagesContext {
  /** The operator's config as it is now. */
  readonly options: () => PluginOptions;
  readonly self: readonly string[];
  readonly log: Logger;
}

/** Where an image made for container engines comes from. */
type StoredOrigin = Exclude<ImageOrigin, { kind: "host" }>;

/** The images made for container engines that this process's tasks stand on, and when they are removed. */
export class TaskImages {
  readonly #context: ImagesContext;
  #store: ImageStore | undefined;
  #timer: { readonly at: number; readonly stop: () => void } | undefined;

  constructor(context: ImagesContext) {
    this.#context = context;
  }

  /** The store that the config names. */
  get store(): ImageStore {
    const directory = this.#context.options().image_store;
    if (this.#store?.directory !== directory) {
      const { self, log } = this.#context;
      this.#store = new ImageStore({ directory, self, log, isOwned: isClaimed });
    }
    return this.#store;
  }

  /**
   * Sees to it that an image is here. What a tag of a registry stood for the last time is good enough, but for "latest".
   *
   * @param task the image as the job names it, and its credentials
   * @throws StoreError, SourceError, ImageError, ImageReferenceError
   */
  async acquire(
    task: Pick<TaskOptions, "image" | "auth">,
    origin: StoredOrigin,
    { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (progress: PullProgress) => void },
  ): Promise<AcquiredImage> {
    const { pull_timeout, gc } = this.#context.options();
    const wanted = await this.#wanted(task, origin);
    const { store } = this;
    await store.open();
    if (store.freeBytes() < gc.image_min_free) await this.#collect();
    const whole = AbortSignal.any([signal, AbortSignal.timeout(pull_timeout)]);
    try {
      const acquired = await store.acquire({ ...wanted, keepFree: gc.image_min_free, signal: whole, onProgress });
      this.unused();
      return acquired;
    } catch (error) {
      // Whoever waits for another's pull, or for the unpacking, knows nothing of where the image comes from.
      if (!whole.aborted || error instanceof SourceError) throw error;
      throw abortError({ name: `image ${JSON.stringify(wanted.name)}`, host: "its origin" }, whole);
    }
  }

  /** Somebody has stopped using an image: it is removed when nobody has again for long enough. */
  unused(): void {
    const { gc } = this.#context.options();
    if (gc.image) this.#collectIn(gc.image_delay + 1);
  }

  async #wanted(
    { image, auth }: Pick<TaskOptions, "image" | "auth">,
    origin: StoredOrigin,
  ): Promise<{ readonly name: string; readonly source: ImageSource; readonly reuse: boolean }> {
    const options = this.#context.options();
    if (origin.kind === "layout") {
      const directory = await allowedDirectory(image, origin.reference.directory, options.image_paths);
      return { name: image, source: ociLayoutSource({ ...origin.reference, directory }), reuse: false };
    }
    // The directories that images may come from: what registries give lies in the store.
    await requireAllowed(origin.reference, options.image_store, options.image_paths);
    const reference = parseReference(origin.reference, options.registry.default);
    return {
      name: formatReference(reference),
      source: registrySource(reference, registryOptions(options, auth)),
      reuse: origin.ask === undefined ? reference.digest !== undefined || reference.tag !== "latest" : !origin.ask,
    };
  }

  #collectIn(delay: number): void {
    const at = performance.now() + delay;
    // The one that was asked for first may find something younger, and asks again.
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    this.#timer?.stop();
    const stop = startTimer(delay, () => {
      this.#timer = undefined;
      this.#collect().catch((error: unknown) => {
        this.#context.log.warn("unused images could not be removed", { error: errorText(error) });
      });
    });
    this.#timer = { at, stop };
  }

  async #collect(): Promise<void> {
    const { gc } = this.#context.options();
    // A client on which no such image was ever used gets no store.
    if (!gc.image || !existsSync(this.store.directory)) return;
    const collected = await this.store.collect(Date.now() - gc.image_delay, gc.image_min_free);
    if (collected === undefined) {
      this.#collectIn(AGAIN_MS);
      return;
    }
    const { images, layers, left } = collected;
    if (images.length + layers.length > 0) {
      this.#context.log.info("unused images removed", { images: images.length, layers: layers.length });
    }
    if (left > 0) this.#collectIn(Math.max(SOONEST_MS, gc.image_delay));
  }
}
