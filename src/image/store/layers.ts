import { closeSync, constants, openSync } from "node:fs";
import { mkdir, readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { ignoreMissing, StoreError } from "../../lib/errors";
import { bootId } from "../../linux/proc";
import type { Descriptor } from "../source";
import { createScratch, removeNow } from "./scratch";
import type { SizeLimit } from "./size-limit";
import {
  digestName,
  digestOfName,
  layerPaths,
  readLayer,
  type StoredLayer,
  type StorePaths,
  writeRecord,
} from "./store-format";
import { ArchiveTooLargeError, unpackLayer } from "./workers";

/** The directory of a layer. */
export function layerDirectory(paths: StorePaths, diffId: string): string {
  return join(paths.layers, digestName(diffId));
}

/**
 * A layer that can be used: it exists, and is either known to be synced to the disk or was unpacked since the host booted. After a power
 * failure, layers that were not synced are not used.
 */
export async function usableLayer(paths: StorePaths, diffId: string): Promise<StoredLayer | undefined> {
  const layer = await readLayer(layerPaths(layerDirectory(paths, diffId)).record);
  return layer !== undefined && layer.diffId === diffId && (layer.synced || layer.bootId === bootId())
    ? layer
    : undefined;
}

/** How to get a layer into the store. */
interface LayerRequest {
  readonly diffId: string;
  readonly content: Descriptor;
  /** Starts to read it. */
  readonly read: () => AsyncIterable<Uint8Array>;
  readonly keepFree: number;
  readonly limit: SizeLimit;
  /** Whether fs-verity protects its files, where the file system has it. */
  readonly verity: boolean;
  readonly signal: AbortSignal;
}

/** A layer that was unpacked. */
interface FetchedLayer {
  /** Device nodes that were left out. */
  readonly devices: number;
}

/**
 * Fetches and unpacks a missing layer. Of several processes that need it one does, and the others wait.
 *
 * @returns undefined if another process was faster
 * @throws StoreError, and what reading it throws
 */
export async function fetchLayer(paths: StorePaths, request: LayerRequest): Promise<FetchedLayer | undefined> {
  const { diffId, keepFree, limit, verity, signal, read } = request;
  const directory = layerDirectory(paths, diffId);
  await using temporary = await createScratch(paths.temporary, digestName(diffId), signal);
  if ((await usableLayer(paths, diffId)) !== undefined) return undefined;
  if ((await stat(directory).catch(ignoreMissing)) !== undefined) await removeNow(directory, paths.temporary);
  const made = join(temporary.path, "layer");
  const { files, record, list } = layerPaths(made);
  await mkdir(made, { mode: 0o700 });
  await mkdir(files, { mode: 0o755 });
  const [algorithm = ""] = diffId.split(":");
  const { lock } = temporary;
  const unpacked = await unpackLayer({
    directory: files,
    list,
    algorithm,
    keepFree,
    verity,
    most: await limit.room(),
    lock,
    content: read,
    signal,
  }).catch(async (error: unknown) => {
    throw error instanceof ArchiveTooLargeError ? await limit.exceeded(error.bytes) : error;
  });
  if (unpacked.diffId !== diffId) {
    throw new StoreError(
      `The layer ${request.content.digest} has the content ${unpacked.diffId}, but the image's config says ${diffId}: the image is damaged.`,
      { recoverable: false },
    );
  }
  const { bytes, entries, devices, implied } = unpacked;
  // Other layers may have arrived meanwhile.
  await limit.require(bytes);
  await writeRecord(record, { version: 1, diffId, bytes, entries, implied, bootId: bootId(), synced: false });
  await rename(made, directory);
  return { devices };
}

/** A layer that may not be synced yet, held open. */
interface UnsyncedLayer extends Disposable {
  /** Records that it is synced. If the layer was removed meanwhile, nothing is recorded, not even if it was fetched again. */
  markSynced(): Promise<void>;
}

/** Layers of this boot that may not be synced yet. */
export async function unsyncedLayers(paths: StorePaths): Promise<UnsyncedLayer[]> {
  const found: UnsyncedLayer[] = [];
  for (const name of await readdir(paths.layers)) {
    if (digestOfName(name) === undefined) continue;
    const layer = await readLayer(layerPaths(join(paths.layers, name)).record);
    if (layer === undefined || layer.synced || layer.bootId !== bootId()) continue;
    const opened = unsyncedLayer(join(paths.layers, name));
    if (opened !== undefined) found.push(opened);
  }
  return found;
}

function unsyncedLayer(directory: string): UnsyncedLayer | undefined {
  let fd: number;
  try {
    fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    return ignoreMissing(error);
  }
  // Exactly this directory, even if another one has its name by now.
  const { record } = layerPaths(`/proc/self/fd/${fd}`);
  return {
    markSynced: async () => {
      const layer = await readLayer(record);
      if (layer !== undefined && !layer.synced)
        await writeRecord(record, { ...layer, synced: true }).catch(ignoreMissing);
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
