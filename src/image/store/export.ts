import { createHash } from "node:crypto";
import { StoreError } from "../../lib/errors";
import { isRecord, parseJson } from "../../lib/objects";
import { archiveEnd, entryHeader, padding } from "../archive/tar-writer";
import { layerArchive } from "./layer-archive";
import { layerDirectory, usableLayer } from "./layers";
import { layerPaths, type StoredImage, type StorePaths } from "./store-format";

/** Names of an exported image, for the tools that read it. */
export interface ExportNames {
  /** The complete reference, such as "docker.io/library/alpine:3.20". */
  readonly name?: string | undefined;
  readonly tag?: string | undefined;
}

/** An image as an oci-archive, ready to be written. */
export interface ExportedImage {
  /** The manifest's digest: not that of the image's origin, whose compressed layers are not kept. */
  readonly digest: string;
  /** Bytes of the archive. */
  readonly size: number;
  /** Reads the archive. @throws StoreError if a layer is not the same as when its digest was computed */
  read(): Generator<Buffer>;
}

/** A piece of content whose bytes are made when they are needed. */
interface Blob {
  readonly digest: string;
  readonly size: number;
  readonly read: () => Iterable<Buffer>;
}

const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";

/**
 * A stored image as an OCI layout in a tar archive (OCI image spec, image-layout.md), the format `oci-archive:` of skopeo, podman and this
 * driver. Each layer is read twice, first for its digest and then for the archive: nothing is stored in between. The same image gives
 * the same bytes on every client.
 *
 * @throws StoreError if a layer is missing
 */
export async function exportImage(paths: StorePaths, image: StoredImage, names: ExportNames): Promise<ExportedImage> {
  const layers = new Map<string, Blob>();
  for (const diffId of image.diffIds) {
    if (layers.has(diffId)) continue;
    const layer = await usableLayer(paths, diffId);
    if (layer === undefined) {
      throw new StoreError(
        `The image ${image.digest} cannot be exported: its layer ${diffId} is missing. Pull it again.`,
        {
          recoverable: false,
        },
      );
    }
    const { files } = layerPaths(layerDirectory(paths, diffId));
    layers.set(
      diffId,
      measured(() => layerArchive({ files, implied: layer.implied })),
    );
  }
  const own = image.diffIds.flatMap((diffId) => layers.get(diffId) ?? []);
  const config = document(configOf(image, own));
  const manifest = document({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest: config.digest, size: config.size },
    layers: own.map(({ digest, size }) => ({ mediaType: LAYER_TYPE, digest, size })),
  });
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX_TYPE,
    manifests: [{ mediaType: MANIFEST_TYPE, digest: manifest.digest, size: manifest.size, ...annotations(names) }],
  });
  const parts = [
    text("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
    text("index.json", index),
    ...[...new Map([manifest, config, ...own].map((blob) => [blob.digest, blob])).values()].map(blobPart),
  ];
  return { digest: manifest.digest, size: sizeOf(parts), read: () => archiveOf(parts) };
}

function annotations({ name, tag }: ExportNames): object {
  if (name === undefined && tag === undefined) return {};
  const named = name === undefined ? {} : { "io.containerd.image.name": name };
  return { annotations: { ...named, ...(tag === undefined ? {} : { "org.opencontainers.image.ref.name": tag }) } };
}

/** The image's config with the digests of these layers. */
function configOf({ configText, digest }: StoredImage, layers: readonly Blob[]): object {
  const config = parseJson(configText);
  if (!isRecord(config)) throw new StoreError(`The config of the image ${digest} is damaged.`, { recoverable: false });
  return { ...config, rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.digest) } };
}

function document(value: object): Blob {
  const bytes = Buffer.from(JSON.stringify(value));
  return measured(() => [bytes]);
}

function measured(read: () => Iterable<Buffer>): Blob {
  const hash = createHash("sha256");
  let size = 0;
  for (const chunk of read()) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `sha256:${hash.digest("hex")}`, size, read };
}

/** A file of the layout. */
interface Part {
  readonly name: string;
  readonly size: number;
  readonly read: () => Iterable<Buffer>;
}

function text(name: string, content: string): Part {
  const bytes = Buffer.from(content);
  return { name, size: bytes.length, read: () => [bytes] };
}

function blobPart({ digest, size, read }: Blob): Part {
  return { name: `blobs/${digest.replace(":", "/")}`, size, read: () => unchanged(digest, read()) };
}

function* unchanged(digest: string, content: Iterable<Buffer>): Generator<Buffer> {
  const hash = createHash("sha256");
  for (const chunk of content) {
    hash.update(chunk);
    yield chunk;
  }
  if (`sha256:${hash.digest("hex")}` !== digest) {
    throw new StoreError("A layer of the image was changed while it was exported: the archive is not valid.", {
      recoverable: true,
    });
  }
}

const DIRECTORIES = ["blobs/", "blobs/sha256/"] as const;
const NOTHING = { link: "", uid: 0, gid: 0, mtime: 0, xattrs: new Map() } as const;

function sizeOf(parts: readonly Part[]): number {
  const heads = [...DIRECTORIES.map(directoryHeader), ...parts.map(partHeader)];
  const rest = parts.reduce((sum, { size }) => sum + size + padding(size).length, 0);
  return heads.reduce((sum, head) => sum + head.length, 0) + rest + archiveEnd().length;
}

function* archiveOf(parts: readonly Part[]): Generator<Buffer> {
  for (const name of DIRECTORIES) yield directoryHeader(name);
  for (const part of parts) {
    yield partHeader(part);
    yield* part.read();
    yield padding(part.size);
  }
  yield archiveEnd();
}

function directoryHeader(name: string): Buffer {
  return entryHeader({ kind: "directory", name, size: 0, mode: 0o755, ...NOTHING });
}

function partHeader({ name, size }: Part): Buffer {
  return entryHeader({ kind: "file", name, size, mode: 0o644, ...NOTHING });
}
