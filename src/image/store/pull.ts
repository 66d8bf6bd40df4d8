import { join } from "node:path";
import { unlessAborted } from "../../lib/deadline";
import { StoreError } from "../../lib/errors";
import { MAX_CONFIG_BYTES, parseImageConfig } from "../image-config";
import { type Descriptor, type ImageManifest, type ImageSource, type ReadOptions, readAll } from "../source";
import { byWeight } from "./by-weight";
import { type ImplyingLayer, impliedDirectories } from "./implied";
import { fetchLayer, layerDirectory, usableLayer } from "./layers";
import { SizeLimit } from "./size-limit";
import { digestName, layerPaths, readImage, type StoredImage, type StorePaths, writeRecord } from "./store-format";

/**
 * What is fetched at once: two large layers, each of which keeps a CPU busy and needs the memory of a process for long; or four small
 * ones, which mostly wait for the registry's answers.
 */
const MOST_WEIGHT = 4;
const SMALL_BYTES = 1024 * 1024;

function weightOf({ content }: Missing): number {
  return content.size <= SMALL_BYTES ? 1 : 2;
}

/** Progress of a pull, in bytes as stored at the image's origin. */
export interface PullProgress {
  readonly received: number;
  /** Bytes to fetch: existing layers do not count. */
  readonly total: number;
}

/** The parameters of a pull. */
interface PullRequest {
  /** As named in the job, for errors. */
  readonly image: string;
  readonly source: ImageSource;
  readonly manifest: ImageManifest;
  /** Bytes to keep free on the disk. */
  readonly keepFree: number;
  /** Bytes that the store may have; undefined for no limit. */
  readonly mostBytes?: number | undefined;
  /** Whether fs-verity protects its files, where the file system has it. */
  readonly verity: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** An image whose layers can all be used, by its manifest's digest. */
export async function completeImage(paths: StorePaths, digest: string): Promise<StoredImage | undefined> {
  const image = await readImage(imagePath(paths, digest));
  if (image === undefined) return undefined;
  for (const diffId of new Set(image.diffIds)) {
    if ((await usableLayer(paths, diffId)) === undefined) return undefined;
  }
  return image;
}

/** The file of an image. */
export function imagePath(paths: StorePaths, digest: string): string {
  return join(paths.images, `${digestName(digest)}.json`);
}

/**
 * Fetches the missing parts of an image: its config, then its layers, the largest first, several in parallel.
 *
 * @returns the image, and what this call unpacked
 * @throws StoreError, and SourceError
 */
async function pull(paths: StorePaths, request: PullRequest): Promise<{ readonly image: StoredImage } & FetchedLayers> {
  const { manifest, source, signal } = request;
  const configText = await readAll(source, manifest.config, MAX_CONFIG_BYTES, { signal });
  const { rootfs } = parseImageConfig(configText, request.image, manifest.config.mediaType);
  const diffIds = rootfs.diff_ids;
  if (diffIds.length === 0 && manifest.layers.length === 0) {
    throw new StoreError(`The image ${request.image} cannot be used: it has no layers, so there is nothing to run.`, {
      recoverable: false,
    });
  }
  if (diffIds.length !== manifest.layers.length) {
    throw new StoreError(
      `The image ${request.image} cannot be used: its manifest has ${manifest.layers.length} layers and its config ${diffIds.length}.`,
      { recoverable: false },
    );
  }
  const missing = await missingLayers(paths, diffIds, manifest.layers);
  const limit = new SizeLimit(paths, request.image, request.mostBytes);
  // Before the download only the compressed sizes are known.
  await limit.require(missing.reduce((sum, { content }) => sum + content.size, 0));
  const fetched = await fetchAll(paths, { ...request, limit }, missing);
  const implied = impliedDirectories(await implyingLayers(paths, diffIds));
  const image: StoredImage = {
    version: 1,
    digest: manifest.digest,
    config: { ...manifest.config },
    layers: manifest.layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    diffIds,
    configText,
    implied,
    at: Date.now(),
  };
  await writeRecord(imagePath(paths, manifest.digest), image);
  return { image, ...fetched };
}

async function implyingLayers(paths: StorePaths, diffIds: readonly string[]): Promise<ImplyingLayer[]> {
  const layers: ImplyingLayer[] = [];
  for (const diffId of diffIds) {
    const { files } = layerPaths(layerDirectory(paths, diffId));
    layers.push({ files, implied: (await usableLayer(paths, diffId))?.implied ?? [] });
  }
  return layers;
}

/** What a pull unpacked. */
interface FetchedLayers {
  readonly layers: number;
  /** Device nodes that were left out. */
  readonly devices: number;
}

interface Missing {
  readonly diffId: string;
  readonly content: Descriptor;
}

async function missingLayers(
  paths: StorePaths,
  diffIds: readonly string[],
  layers: readonly Descriptor[],
): Promise<Missing[]> {
  const missing = new Map<string, Missing>();
  for (const [index, diffId] of diffIds.entries()) {
    const content = layers[index];
    // A layer may occur several times, usually an empty one.
    if (content === undefined || missing.has(diffId) || (await usableLayer(paths, diffId)) !== undefined) continue;
    missing.set(diffId, { diffId, content });
  }
  return [...missing.values()].toSorted((one, other) => other.content.size - one.content.size);
}

async function fetchAll(
  paths: StorePaths,
  request: PullRequest & { readonly limit: SizeLimit },
  missing: readonly Missing[],
): Promise<FetchedLayers> {
  const { source, keepFree, limit, verity, onProgress } = request;
  const received = new Map<string, number>();
  const fetched = { layers: 0, devices: 0 };
  const total = missing.reduce((sum, { content }) => sum + content.size, 0);
  const stop = new AbortController();
  const signal = AbortSignal.any([request.signal, stop.signal]);
  await byWeight(missing, { most: MOST_WEIGHT, weightOf }, async ({ diffId, content }) => {
    const options: ReadOptions = {
      signal,
      onProgress: (bytes) => {
        received.set(diffId, bytes);
        onProgress?.({ received: [...received.values()].reduce((sum, each) => sum + each, 0), total });
      },
    };
    try {
      const read = () => source.read(content, options);
      const layer = await fetchLayer(paths, { diffId, content, read, keepFree, limit, verity, signal });
      if (layer === undefined) return;
      fetched.layers += 1;
      fetched.devices += layer.devices;
    } catch (error) {
      // The other layers' resulting error is not the reason.
      stop.abort(error);
      throw error;
    }
  });
  return fetched;
}

/** The environment of pulls. */
interface PullsContext {
  /** Called with what was fetched. */
  readonly onPulled: (paths: StorePaths, pulled: PulledImage) => void;
}

/** A finished pull, for the log. */
type PulledImage = Readonly<Record<"image" | "digest", string> & Record<"layers" | "devices" | "bytes" | "ms", number>>;

interface Pulling {
  /** The signal of the first caller. */
  readonly signal: AbortSignal;
  readonly done: Promise<StoredImage>;
  readonly listeners: Set<(progress: PullProgress) => void>;
}

/** The running pulls of this process: further callers for an image wait for its running pull. */
export class PullCoordinator {
  readonly #context: PullsContext;
  readonly #pulling = new Map<string, Pulling>();

  constructor(context: PullsContext) {
    this.#context = context;
  }

  /** @throws StoreError, SourceError, and what the request's own signal aborts with */
  async pull(paths: StorePaths, request: PullRequest): Promise<StoredImage> {
    const { onProgress, manifest, signal } = request;
    for (;;) {
      const others = this.#pulling.get(manifest.digest);
      const pulling = others ?? this.#startPull(paths, request);
      if (onProgress !== undefined) pulling.listeners.add(onProgress);
      try {
        // The own pull ends with its signal, after cleaning up.
        return await (others === undefined ? pulling.done : unlessAborted(pulling.done, signal));
      } catch (error) {
        // If the first caller has cancelled its pull, the others try again.
        if (others === undefined || !others.signal.aborted || signal.aborted) throw error;
      } finally {
        if (onProgress !== undefined) pulling.listeners.delete(onProgress);
      }
    }
  }

  #startPull(paths: StorePaths, request: PullRequest): Pulling {
    const { digest } = request.manifest;
    const listeners = new Set<(progress: PullProgress) => void>();
    let bytes = 0;
    const onProgress = (progress: PullProgress) => {
      bytes = progress.received;
      for (const listener of listeners) listener(progress);
    };
    const start = performance.now();
    const done = pull(paths, { ...request, onProgress })
      .then(({ image, layers, devices }) => {
        const ms = Math.round(performance.now() - start);
        this.#context.onPulled(paths, { image: request.image, digest, layers, devices, bytes, ms });
        return image;
      })
      .finally(() => this.#pulling.delete(digest));
    const pulling = { done, listeners, signal: request.signal };
    this.#pulling.set(digest, pulling);
    return pulling;
  }
}
