import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { errnoCode, ignoreMissing, isMissing, StoreError } from "../../lib/errors";
import { writeAtomically } from "../../lib/files";
import { fileLock } from "../../linux/flock";
import { removeStale } from "./scratch";

/** The paths of a store. */
export interface StorePaths {
  /** The format of the rest; see FORMAT. */
  readonly format: string;
  /** Locked shared while adding or using, exclusively while removing. */
  readonly lock: string;
  /** A directory for each unpacked layer, named by the digest of its archive. */
  readonly layers: string;
  /** A file per image, named by its manifest's digest. */
  readonly images: string;
  /** A file per requested name: its latest resolution. */
  readonly references: string;
  /** A file per image with its signatures, if a signature policy required them. */
  readonly signatures: string;
  /** A directory per container. */
  readonly containers: string;
  /** A directory for each disk image that containers show: see disks.ts. */
  readonly disks: string;
  /** Unfinished data; the lock files beside it show whether its owner is alive. */
  readonly temporary: string;
}

/** The paths within a store's directory. */
export function storePaths(directory: string): StorePaths {
  return {
    format: join(directory, "format"),
    lock: join(directory, "lock"),
    layers: join(directory, "layers"),
    images: join(directory, "images"),
    references: join(directory, "references"),
    signatures: join(directory, "signatures"),
    containers: join(directory, "containers"),
    disks: join(directory, "disks"),
    temporary: join(directory, "tmp"),
  };
}

/** A digest as a file name: "sha256:…" becomes "sha256-…". */
export function digestName(digest: string): string {
  const name = digest.replace(":", "-");
  if (!isDigestName(name)) throw new Error(`${JSON.stringify(digest)} is not a digest.`);
  return name;
}

/** The digest in a file name; undefined for another file. */
export function digestOfName(name: string): string | undefined {
  return isDigestName(name) ? name.replace("-", ":") : undefined;
}

function isDigestName(name: string): boolean {
  return /^(?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})$/.test(name);
}

/** The paths in a layer's directory. */
export function layerPaths(directory: string) {
  return {
    /** The directory to stack. */
    files: join(directory, "fs"),
    record: join(directory, "layer.json"),
    /** What was unpacked, one record per line: see archive/report.ts. */
    list: join(directory, "list.jsonl"),
  };
}

/** The paths in a container's directory; `upper` and `work` may be in a tmpfs instead. */
export function containerPaths(directory: string) {
  return {
    record: join(directory, "container.json"),
    upper: join(directory, "upper"),
    work: join(directory, "work"),
    scratch: join(directory, "scratch"),
    /** The root directory for systemd-nspawn. */
    root: join(directory, "root"),
    /** A directory for each part of a disk image, with its own `upper` and `work`; may be in a tmpfs instead. */
    parts: join(directory, "parts"),
  };
}

/** The content of the file `format`. */
export const FORMAT = "nomad-driver-nspawn image store 1\n";

/**
 * Creates a store if it does not exist, and removes what killed processes left in it.
 *
 * @throws StoreError if the directory cannot be used, or holds the store of a later version
 */
export async function openStore(directory: string): Promise<StorePaths> {
  const paths = storePaths(directory);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // It contains other users' files with set-user-ID bits: no user of the host may reach them.
    await chmod(directory, 0o700);
    for (const path of [
      ...[paths.layers, paths.images, paths.references, paths.signatures],
      ...[paths.containers, paths.disks, paths.temporary],
    ]) {
      await mkdir(path, { recursive: true, mode: 0o700 });
    }
    {
      using _lock = await fileLock(paths.lock, "shared");
      await checkFormat(paths.format);
    }
    await removeStale(paths.temporary);
    return paths;
  } catch (error) {
    const code = errnoCode(error);
    if (error instanceof StoreError || code === undefined) throw error;
    throw new StoreError(
      `The image store ${directory} is unusable: ${code}. Set the plugin option image_store to a directory that root can write to.`,
      { recoverable: true, cause: error },
    );
  }
}

async function checkFormat(path: string): Promise<void> {
  const found = await readFile(path, "utf8").catch(ignoreMissing);
  // An empty file results from a power failure at that moment.
  if (found === FORMAT) return;
  if (found !== undefined && found !== "") {
    throw new StoreError(
      `The image store beside ${path} has the format ${JSON.stringify(found.trim().slice(0, 100))}, which this driver version does not support: set the plugin option image_store to another directory.`,
      { recoverable: false },
    );
  }
  await writeFile(path, FORMAT, { mode: 0o600 });
}

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
  /** Directories without an entry of their own; absent in the records of older versions. */
  implied: v.optional(v.pipe(v.array(v.string()), v.readonly()), []),
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
  /** Directories that appear with another owner and mode than the top layer has them with: see implied.ts. */
  implied: v.optional(
    v.pipe(v.array(v.object({ path: v.string(), mode: v.number(), uid: v.number(), gid: v.number() })), v.readonly()),
    [],
  ),
  /** When it was pulled, milliseconds since the epoch. */
  at: v.number(),
});

/** An image whose layers are all present. */
export type StoredImage = v.InferOutput<typeof imageSchema>;

const referenceSchema = v.object({
  version,
  reference: v.string(),
  digest: v.string(),
  /** The digest of the list of images that the name referred to, if it was one. */
  list: v.optional(v.string()),
  at: v.number(),
});

/** The latest resolution of a name. */
export type StoredReference = v.InferOutput<typeof referenceSchema>;

const containerSchema = v.object({
  version,
  machine: v.string(),
  /** The manifest of an image of the store. */
  image: v.optional(v.string()),
  /** A directory, disk image or device of the host that is used as an image; absolute, without symlinks. */
  directory: v.optional(v.string()),
  /** The name of the directory in `disks`, if it is not a directory. */
  disk: v.optional(v.string()),
  bootId: v.string(),
  /** The host's ID for the container's user ID 0. */
  firstId: v.number(),
});

/** A container that uses an image of the store, or one of the host. */
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
  await writeAtomically(path, `${JSON.stringify(record)}\n`);
}
