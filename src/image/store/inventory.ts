import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readFacts } from "./gc";
import { layerDirectory, usableLayer } from "./layers";
import { allContainers } from "./snapshots";
import { digestName, readImage, readReference, type StoredReference, type StorePaths } from "./store-format";

/** An image of a store, for display. */
export interface ListedImage {
  readonly digest: string;
  /** The names it was requested by. */
  readonly names: readonly string[];
  /** When each of these names was last resolved to it, milliseconds since the epoch. */
  readonly resolved: Readonly<Record<string, number>>;
  /** Bytes of its layers' archives; shared layers are counted for each image. */
  readonly bytes: number;
  /** Of these, bytes of layers that no other image has: what its removal frees, roughly. */
  readonly ownBytes: number;
  readonly layers: number;
  /** Machines that use it. */
  readonly machines: readonly string[];
  /** Milliseconds since the epoch. */
  readonly lastUse: number;
}

/** The images of a store, most recently used first. */
export async function listImages(paths: StorePaths): Promise<ListedImage[]> {
  const facts = await readFacts(paths);
  const names = await namesByImage(paths);
  const containers = await allContainers(paths);
  const users = new Map<string, number>();
  for (const { diffIds } of facts.images) {
    for (const diffId of new Set(diffIds)) users.set(diffId, (users.get(diffId) ?? 0) + 1);
  }
  const images: ListedImage[] = [];
  for (const { digest, diffIds, lastUse } of facts.images) {
    const layers = await Promise.all([...new Set(diffIds)].map((diffId) => usableLayer(paths, diffId)));
    images.push({
      digest,
      names: (names.get(digest) ?? []).map(({ reference }) => reference),
      resolved: Object.fromEntries((names.get(digest) ?? []).map(({ reference, at }) => [reference, at])),
      bytes: layers.reduce((sum, layer) => sum + (layer?.bytes ?? 0), 0),
      ownBytes: layers.reduce((sum, layer) => sum + (layer && users.get(layer.diffId) === 1 ? layer.bytes : 0), 0),
      layers: layers.length,
      machines: containers.filter(({ image }) => image === digest).map(({ machine }) => machine),
      lastUse,
    });
  }
  return images.toSorted((one, other) => other.lastUse - one.lastUse);
}

/** Problems of incomplete images, and the directories of the existing layers. */
export async function checkIntegrity(
  paths: StorePaths,
): Promise<{ readonly problems: readonly string[]; readonly layers: readonly string[] }> {
  const facts = await readFacts(paths);
  const problems: string[] = [];
  for (const { digest } of facts.images) {
    const image = await readImage(join(paths.images, `${digestName(digest)}.json`));
    for (const diffId of image?.diffIds ?? []) {
      if ((await usableLayer(paths, diffId)) === undefined) {
        problems.push(`The layer ${diffId} of the image ${digest} is missing: it will be fetched when needed.`);
      }
    }
  }
  return { problems, layers: [...facts.layers.keys()].map((diffId) => layerDirectory(paths, diffId)) };
}

async function namesByImage(paths: StorePaths): Promise<ReadonlyMap<string, readonly StoredReference[]>> {
  const names = new Map<string, StoredReference[]>();
  for (const file of await readdir(paths.references)) {
    const reference = await readReference(join(paths.references, file));
    if (reference === undefined) continue;
    names.set(reference.digest, [...(names.get(reference.digest) ?? []), reference]);
  }
  return names;
}

/** The bytes of all layers of images, each counted once. */
export async function totalBytes(paths: StorePaths): Promise<number> {
  const { images } = await readFacts(paths);
  const layers = [...new Set(images.flatMap(({ diffIds }) => diffIds))];
  const found = await Promise.all(layers.map((diffId) => usableLayer(paths, diffId)));
  return found.reduce((sum, layer) => sum + (layer?.bytes ?? 0), 0);
}
