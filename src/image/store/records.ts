import { readFile, rename, rm, writeFile } from "node:fs/promises";
import * as v from "valibot";
import { isMissing } from "../../host/errno";

/** Version of the records below; a newer driver may have others beside them. */
const version = v.literal(1);
const descriptor = v.object({ mediaType: v.string(), digest: v.string(), size: v.number() });

const layerSchema = v.object({
  version,
  /** Digest of the uncompressed archive. */
  diffId: v.string(),
  /** Bytes of it. */
  bytes: v.number(),
  entries: v.number(),
  /** The boot it was unpacked in, which counts as long as it is not `synced`. */
  bootId: v.string(),
  /** Whether it is known to be on the disk whole. */
  synced: v.boolean(),
});

/** What is known of an unpacked layer. */
export type StoredLayer = v.InferOutput<typeof layerSchema>;

const imageSchema = v.object({
  version,
  /** The manifest's. */
  digest: v.string(),
  config: descriptor,
  layers: v.array(descriptor),
  /** Digests of the uncompressed layers, from the lowest up. */
  diffIds: v.array(v.string()),
  /** The image's config, as its author wrote it. */
  configText: v.string(),
  /** When it came, milliseconds since the epoch. */
  at: v.number(),
});

/** An image whose layers are all there. */
export type StoredImage = v.InferOutput<typeof imageSchema>;

const referenceSchema = v.object({ version, reference: v.string(), digest: v.string(), at: v.number() });

/** What a name stood for when it was last looked up. */
export type StoredReference = v.InferOutput<typeof referenceSchema>;

const containerSchema = v.object({
  version,
  machine: v.string(),
  /** The image's manifest. */
  image: v.string(),
  bootId: v.string(),
  /** What the container's user ID 0 is outside. */
  firstId: v.number(),
});

/** A container that stands on an image. */
export type StoredContainer = v.InferOutput<typeof containerSchema>;

/** Reads a record; undefined where there is none, or none that this version understands. */
async function readRecord<TSchema extends v.GenericSchema>(
  path: string,
  schema: TSchema,
): Promise<v.InferOutput<TSchema> | undefined> {
  try {
    const parsed = v.safeParse(schema, JSON.parse(await readFile(path, "utf8")));
    return parsed.success ? parsed.output : undefined;
  } catch (error) {
    // A torn file of a host that lost its power is as good as none.
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Reads what is known of a layer; undefined where nothing is. */
export function readLayer(path: string): Promise<StoredLayer | undefined> {
  return readRecord(path, layerSchema);
}

/** Reads what is known of an image; undefined where nothing is. */
export function readImage(path: string): Promise<StoredImage | undefined> {
  return readRecord(path, imageSchema);
}

/** Reads what a name stood for; undefined where nothing is known. */
export function readReference(path: string): Promise<StoredReference | undefined> {
  return readRecord(path, referenceSchema);
}

/** Reads what a container stands on; undefined where nothing is known. */
export function readContainer(path: string): Promise<StoredContainer | undefined> {
  return readRecord(path, containerSchema);
}

/** Writes a record in one step: whoever reads it sees the old or the new one. */
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
