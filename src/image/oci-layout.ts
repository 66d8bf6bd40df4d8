import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoCode } from "../lib/errors";
import { defined } from "../lib/objects";
import {
  DEEPEST_INDEX,
  type IndexEntry,
  type ManifestDocument,
  ManifestError,
  MOST_MANIFEST_BYTES,
  parseManifest,
  selectPlatform,
  THIS_PLATFORM,
} from "./manifest";
import { type Descriptor, type ImageManifest, type ImageSource, type ReadOptions, SourceError } from "./source";

/** Images in a directory (OCI image spec, image-layout.md), as written by skopeo, buildah and umoci. */

const REF_NAME = "org.opencontainers.image.ref.name";
const READ_BYTES = 256 * 1024;

/** The location of an image in a directory: "oci:/PATH", "oci:/PATH:TAG" or "oci:/PATH@DIGEST". */
export interface LayoutReference {
  readonly directory: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** Parses an image's name as one in a directory; undefined for any other. */
export function parseLayoutReference(image: string): LayoutReference | undefined {
  const match = /^oci:(?:\/\/(?=\/))?(\/(?!\/)[^\0]*?)(?::([\w][\w.-]{0,127})|@(sha256:[0-9a-f]{64}))?$/.exec(image);
  if (match === null) return undefined;
  const [, directory = "", tag, digest] = match;
  return { directory, ...defined({ tag, digest }) };
}

/** An image in a directory. */
export function ociLayoutSource(reference: LayoutReference): ImageSource {
  const { directory } = reference;
  return {
    manifest: async () => {
      const index = parsed(await text(join(directory, "index.json"), directory), directory);
      if (index.kind !== "index")
        throw failure("content", `The directory ${directory} is not an OCI image layout: index.json is invalid.`);
      return manifestOf(directory, choose(index.entries, reference));
    },
    read: (content, options) => readBlob(directory, content, options),
  };
}

/** An image may be a list of images for several platforms, and the list may contain lists. */
async function manifestOf(directory: string, chosen: Descriptor): Promise<ImageManifest> {
  let content = chosen;
  for (let depth = 0; depth <= DEEPEST_INDEX; depth += 1) {
    const document = await text(blobPath(directory, content.digest), directory);
    check(directory, content, createHash(algorithmOf(content.digest)).update(document).digest("hex"), document.length);
    const found = parsed(document, directory);
    if (found.kind === "image") return { digest: content.digest, config: found.config, layers: found.layers };
    content = validated(directory, () => selectPlatform(found.entries, THIS_PLATFORM));
  }
  throw failure("content", `The image in ${directory} has too deeply nested lists of images.`);
}

function choose(manifests: readonly IndexEntry[], { directory, tag, digest }: LayoutReference): IndexEntry {
  const names = manifests.flatMap(({ annotations }) => annotations?.[REF_NAME] ?? []);
  const there =
    names.length === 0 ? "none of its images has a tag" : `available tags: ${names.slice(0, 20).join(", ")}`;
  const found =
    digest !== undefined
      ? manifests.find((manifest) => manifest.digest === digest)
      : tag !== undefined
        ? manifests.find(({ annotations }) => annotations?.[REF_NAME] === tag)
        : manifests.length === 1
          ? manifests[0]
          : undefined;
  if (found !== undefined) return found;
  const asked = digest ?? tag;
  throw failure(
    "not found",
    asked === undefined
      ? `The directory ${directory} has ${manifests.length} images, so the image's name has to end with a tag: ${there}.`
      : `The directory ${directory} has no image ${JSON.stringify(asked)}: ${there}.`,
  );
}

async function* readBlob(directory: string, content: Descriptor, options: ReadOptions): AsyncGenerator<Uint8Array> {
  const { signal, onProgress } = options;
  const hash = createHash(algorithmOf(content.digest));
  let received = 0;
  try {
    const stream = createReadStream(blobPath(directory, content.digest), { highWaterMark: READ_BYTES });
    for await (const chunk of stream) {
      signal.throwIfAborted();
      if (!(chunk instanceof Uint8Array)) continue;
      received += chunk.length;
      hash.update(chunk);
      if (received > content.size) break;
      yield chunk;
      onProgress?.(received);
    }
  } catch (error) {
    throw unreadable(error, directory);
  }
  check(directory, content, hash.digest("hex"), received);
}

function check(directory: string, { digest, size }: Descriptor, found: string, length: number): void {
  if (length !== size) {
    throw failure(
      "content",
      `The image in ${directory} is damaged: size mismatch of ${digest}, expected ${size} bytes.`,
    );
  }
  if (`${algorithmOf(digest)}:${found}` !== digest) {
    throw failure("content", `The image in ${directory} is damaged: digest mismatch of ${digest}.`);
  }
}

async function text(path: string, directory: string): Promise<Buffer> {
  try {
    const content = await readFile(path);
    if (content.length > MOST_MANIFEST_BYTES) throw failure("content", `${path} is too large for a list of images.`);
    return content;
  } catch (error) {
    throw unreadable(error, directory);
  }
}

function parsed(content: Buffer, directory: string): ManifestDocument {
  return validated(directory, () => parseManifest(content.toString("utf8")));
}

/** Runs a parser, and reports its errors as errors of the image. */
function validated<T>(directory: string, validate: () => T): T {
  try {
    return validate();
  } catch (error) {
    throw error instanceof ManifestError
      ? failure("content", `The image in ${directory} cannot be used: ${error.message}.`)
      : error;
  }
}

function blobPath(directory: string, digest: string): string {
  return join(directory, "blobs", ...digest.split(":"));
}

function algorithmOf(digest: string): string {
  return digest.split(":")[0] ?? "";
}

function unreadable(error: unknown, directory: string): unknown {
  const code = errnoCode(error);
  if (error instanceof SourceError || code === undefined) return error;
  return code === "ENOENT" || code === "ENOTDIR"
    ? failure(
        "not found",
        `The directory ${directory} is not an OCI image layout, or is incomplete: a file is missing.`,
        error,
      )
    : failure("connection", `The image in ${directory} cannot be read: ${code}.`, error);
}

function failure(problem: "not found" | "content" | "connection", message: string, cause?: unknown): SourceError {
  return new SourceError(message, { problem, recoverable: false, cause });
}
