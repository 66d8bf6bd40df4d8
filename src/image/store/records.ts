import { readFile, rename, rm, writeFile } from "node:fs/promises";
import * as v from "valibot";
import { isMissing } from "../../host/errno";

/** Version of the records below; a newer driver may write others beside them. */
const version = v.literal(1);
const descriptor = v.object({ mediaType: v.string(), digest: v.string(), size: v.number() });

const layerSchema = v.object({
  version,
  /** Digest of the uncompressed archive. */
  diffId: v.string(),
  /** Bytes of it. */
  bytes: v.number(),
  entries: v.number(),
  /** The boot it was unpacked in, which matters until it is `synced`. */
  bootId: v.string(),
  /** Whether it is known to be completely on the disk. */
  synced: v.boolean(),
});

/** The record of an unpacked layer. */
export type StoredLayer = v.InferOutput<typeof layerSchema>;

const imageSchema = v.object({
  version,
  /** The manifest's. */
  digest: v.string(),
  config: descriptor,
  layers: v.array(descriptor),
  /** Digests of the uncompressed layers, from the lowest up. */
  diffIds: v.array(v.string()),
  /** The image's config, unchanged. */
  configText: v.string(),
  /** When it was pulled, milliseconds since the epoch. */
  at: v.number(),
});

/** An image whose layers are all present. */
export type StoredImage = v.InferOutput<typeof imageSchema>;

const referenceSchema = v.object({ version, reference: v.string(), digest: v.string(), at: v.number() });

/** The latest resolution of a name. */
export type StoredReference = v.InferOutput<typeof referenceSchema>;

const containerSchema = v.object({
  version,
  machine: v.string(),
  /** The image's manifest. */
  image: v.string(),
  bootId: v.string(),
  /** The host's ID for the container's user ID 0. */
  firstId: v.number(),
});

/** A container that uses an image. */
export type StoredContainer = v.InferOutput<typeof containerSchema>;

/** Reads a record; undefined if it does not exist, or this version does not understand it. */
async function readRecord<TSchema extends v.GenericSchema>(
  path: string,
  schema: TSchema,
): Promise<v.InferOutput<TSchema> | undefined> {
  try {
    const parsed = v.safeParse(schema, JSON.parse(await readFile(path, "utf8")));
    return parsed.success ? parsed.output : undefined;
  } catch (error) {
    // A file that was truncated by a power failure counts as missing.
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Reads the record of a layer; undefined if none exists. */
export function readLayer(path: string): Promise<StoredLayer | undefined> {
  return readRecord(path, layerSchema);
}

/** Reads the record of an image; undefined if none exists. */
export function readImage(path: string): Promise<StoredImage | undefined> {
  return readRecord(path, imageSchema);
}

/** Reads a name's resolution; undefined if none exists. */
export function readReference(path: string): Promise<StoredReference | undefined> {
  return readRecord(path, referenceSchema);
}

/** Reads the record of a container; undefined if none exists. */
export function readContainer(path: string): Promise<StoredContainer | undefined> {
  return readRecord(path, containerSchema);
}

/** Writes a record atomically: readers see the old or the new one. */
export async function writeRecord(
  path: string,
  record: StoredLayer | StoredImage | StoredReference | StoredContainer,
): Promise<void> {
  const beside = `${path}.${crypto.randomUUID()}.new`;
  try {
    await writeFile(beside, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
