/** Container (OCI) images, written as an OCI image layout (OCI image spec, image-layout.md). */

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { run } from "../../tools/command";

/** How a layer is stored. */
export type LayerKind = "gzip" | "zstd" | "plain";

/** One layer: a tar archive, and how it is stored. */
export interface Layer {
  readonly archive: Uint8Array;
  readonly kind?: LayerKind;
  /** The stored bytes, if it is stored in another way. */
  readonly stored?: Uint8Array;
  readonly urls?: readonly string[];
  readonly mediaType?: string;
  /** Replaces the archive's own digest in the image's config. */
  readonly diffId?: string;
}

/** The parts of an image's config that a test sets (config.md). */
export interface Config {
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly StopSignal?: string;
  readonly Volumes?: Readonly<Record<string, object>> | null;
}

const SUFFIX: Readonly<Record<LayerKind, string>> = { gzip: "+gzip", zstd: "+zstd", plain: "" };

/** An archive of a directory, with owners and links, without its /dev. */
export async function archiveOf(directory: string): Promise<Uint8Array> {
  const scratch = await mkdtemp(join(tmpdir(), "archive-"));
  try {
    const file = join(scratch, "tree.tar");
    const options = ["--format=posix", "--numeric-owner", "--exclude=./dev/*", "--directory", directory];
    await run(["tar", "--create", "--file", file, ...options, "."]);
    return await Bun.file(file).bytes();
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** Writes an image into a directory, which may contain others already. Returns its name in a job. */
export async function writeImage(
  directory: string,
  tag: string,
  layers: readonly Layer[],
  config: Config = {},
  architecture = "amd64",
): Promise<string> {
  await mkdir(join(directory, "blobs/sha256"), { recursive: true });
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  const stored = await Promise.all(
    layers.map(async ({ archive, kind = "gzip", stored = compressed(archive, kind), ...more }) => ({
      ...(await blob(directory, stored)),
      mediaType: more.mediaType ?? `application/vnd.oci.image.layer.v1.tar${SUFFIX[kind]}`,
      ...(more.urls === undefined ? {} : { urls: more.urls }),
    })),
  );
  const diffIds = layers.map(({ archive, diffId }) => diffId ?? digest(archive));
  const configBlob = await json(directory, {
    architecture,
    os: "linux",
    config,
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const manifest = await json(directory, {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...configBlob },
    layers: stored,
  });
  const index = join(directory, "index.json");
  const file = Bun.file(index);
  const before: { manifests: unknown[] } = (await file.exists()) ? await file.json() : { manifests: [] };
  before.manifests.push({
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    ...manifest,
    annotations: { "org.opencontainers.image.ref.name": tag },
  });
  await writeFile(index, JSON.stringify({ schemaVersion: 2, ...before }));
  return `oci:${directory}:${tag}`;
}

/** The digest of bytes, in the format of images. */
export function digest(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A layer as it is stored. */
export function compressed(archive: Uint8Array, kind: LayerKind): Uint8Array {
  return kind === "gzip" ? gzipSync(archive, { level: 1 }) : kind === "zstd" ? zstdCompressSync(archive) : archive;
}

function json(directory: string, value: unknown) {
  return blob(directory, Buffer.from(JSON.stringify(value)));
}

async function blob(directory: string, bytes: Uint8Array): Promise<{ digest: string; size: number }> {
  const name = digest(bytes);
  await writeFile(join(directory, "blobs", ...name.split(":")), bytes);
  return { digest: name, size: bytes.length };
}
