import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../../lib/errors";
import { layerDirectory } from "./layers";
import { imagePath } from "./pull";
import { moveToTrash } from "./scratch";
import { removeSignatures } from "./signatures";
import { allContainers } from "./snapshots";
import { digestOfName, readImage, readReference, type StorePaths } from "./store-format";

/** An image's facts for garbage collection. */
interface ImageFacts {
  readonly digest: string;
  readonly diffIds: readonly string[];
  /** Milliseconds since the epoch. */
  readonly lastUse: number;
}

/** The content of a store. */
export interface StoreFacts {
  readonly images: readonly ImageFacts[];
  /** Layers, with the time they arrived. */
  readonly layers: ReadonlyMap<string, number>;
  /** Images that containers use. */
  readonly used: ReadonlySet<string>;
}

/** Unused images, least recently used first; only those last used at `since` or earlier. */
export function unusedImages({ images, used }: StoreFacts, since: number): readonly ImageFacts[] {
  return images
    .filter(({ digest, lastUse }) => !used.has(digest) && lastUse <= since)
    .toSorted((one, other) => one.lastUse - other.lastUse);
}

/** Layers of no image that arrived at `since` or earlier: a failed pull may be retried and use newer ones. */
export function unusedLayers({ images, layers }: StoreFacts, since: number): readonly string[] {
  const needed = new Set(images.flatMap(({ diffIds }) => diffIds));
  return [...layers].filter(([diffId, at]) => !needed.has(diffId) && at <= since).map(([diffId]) => diffId);
}

/** The limits of a collection. */
export interface CollectLimits {
  /** See unusedImages(). */
  readonly since: number;
  /** Whether enough was removed; called before each image. If set, an image's files are removed completely before the next call. */
  readonly enough?: () => Promise<boolean>;
}

/** What was removed. */
export interface Collected {
  readonly images: readonly string[];
  readonly layers: readonly string[];
  /** The number of unused images that were kept, because they were used recently. */
  readonly left: number;
}

/**
 * Removes images that are not in use, and layers of no image. The caller holds the store's lock exclusively, so no process is
 * starting to use one.
 *
 * @param trash receives the removed layers; their files are deleted when it is disposed of, which takes time and needs no lock
 */
export async function collect(
  paths: StorePaths,
  { since, enough }: CollectLimits,
  trash: AsyncDisposableStack,
): Promise<Collected> {
  let facts = await readFacts(paths);
  const images: string[] = [];
  const layers: string[] = [];
  for (const { digest } of unusedImages(facts, since)) {
    if ((await enough?.()) === true) break;
    await rm(imagePath(paths, digest), { force: true });
    images.push(digest);
    facts = { ...facts, images: facts.images.filter((image) => image.digest !== digest) };
    layers.push(...(await removeLayers(paths, facts, since, enough === undefined ? trash : undefined)));
  }
  if (images.length === 0 && (await enough?.()) !== true)
    layers.push(...(await removeLayers(paths, facts, since, trash)));
  await removeUnreadable(paths.images, readImage);
  const kept = new Set(facts.images.map(({ digest }) => digest));
  await removeReferences(paths, kept);
  await removeSignatures(paths, kept);
  return { images, layers: [...new Set(layers)], left: unusedImages(facts, Number.POSITIVE_INFINITY).length };
}

/** @param trash if absent, the files are deleted when this resolves */
async function removeLayers(
  paths: StorePaths,
  facts: StoreFacts,
  since: number,
  trash: AsyncDisposableStack | undefined,
): Promise<readonly string[]> {
  const unused = unusedLayers(facts, since);
  await using own = new AsyncDisposableStack();
  for (const diffId of unused) (trash ?? own).use(await moveToTrash(layerDirectory(paths, diffId), paths.temporary));
  return unused;
}

async function removeReferences(paths: StorePaths, images: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(paths.references)) {
    const path = join(paths.references, name);
    const reference = await readReference(path);
    if (reference === undefined || !name.endsWith(".json") || !images.has(reference.digest))
      await rm(path, { force: true });
  }
}

/** Removes truncated files, and those of writers that were killed. */
async function removeUnreadable(directory: string, read: (path: string) => Promise<unknown>): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if ((await read(path)) === undefined || !name.endsWith(".json")) await rm(path, { force: true });
  }
}

/** Reads a store. Entries that disappear meanwhile count as gone. */
export async function readFacts(paths: StorePaths): Promise<StoreFacts> {
  const images: ImageFacts[] = [];
  for (const name of await readdir(paths.images)) {
    if (!name.endsWith(".json")) continue;
    const path = join(paths.images, name);
    const image = await readImage(path);
    const lastUse = await changedAt(path);
    if (image !== undefined && lastUse !== undefined)
      images.push({ digest: image.digest, diffIds: image.diffIds, lastUse });
  }
  const layers = new Map<string, number>();
  for (const name of await readdir(paths.layers)) {
    const diffId = digestOfName(name);
    const at = await changedAt(join(paths.layers, name));
    if (diffId !== undefined && at !== undefined) layers.set(diffId, at);
  }
  const used = new Set((await allContainers(paths)).flatMap(({ image = [] }) => image));
  return { images, layers, used };
}

async function changedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
