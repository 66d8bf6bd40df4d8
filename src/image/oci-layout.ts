import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoCode } from "../lib/errors";
import { defined } from "../lib/objects";
import { MAX_CONFIG_BYTES } from "./image-config";
import { type IndexEntry, type ManifestDocument, ManifestError, MOST_MANIFEST_BYTES, parseManifest } from "./manifest";
import { resolveManifest } from "./resolve-manifest";
import { type Descriptor, type ImageSource, type ReadOptions, readAll, SourceError } from "./source";

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
  const read: ImageSource["read"] = (content, options) => readBlob(directory, content, options);
  return {
    read,
    manifest: async (options) => {
      try {
        const index = parseManifest((await text(join(directory, "index.json"), directory)).toString("utf8"));
        if (index.kind !== "index") throw new ManifestError("index.json has no list of images");
        const document = (content: Descriptor) => readDocument(directory, content);
        const chosen = choose(index.entries, reference);
        const root =
          chosen.length === 1 && chosen[0] !== undefined
            ? { digest: chosen[0].digest, parsed: await document(chosen[0]) }
            : { digest: "", parsed: { kind: "index", entries: chosen } as const };
        const config = (content: Descriptor) => readAll({ read }, content, MAX_CONFIG_BYTES, options);
        return await resolveManifest(root, { document, config });
      } catch (error) {
        if (!(error instanceof ManifestError)) throw error;
        throw failure("content", `The image in ${directory} cannot be used: ${error.message}.`);
      }
    },
  };
}

async function readDocument(directory: string, content: Descriptor): Promise<ManifestDocument> {
  const document = await text(blobPath(directory, content.digest), directory);
  check(directory, content, createHash(algorithmOf(content.digest)).update(document).digest("hex"), document.length);
  return parseManifest(document.toString("utf8"));
}

/** The entries that a reference may mean: one, or without a tag those of one image for several platforms. */
function choose(manifests: readonly IndexEntry[], { directory, tag, digest }: LayoutReference): readonly IndexEntry[] {
  const names = manifests.flatMap(({ annotations }) => annotations[REF_NAME] ?? []);
  const asked = digest ?? tag;
  const found = manifests.filter((manifest) =>
    digest === undefined ? tag === undefined || manifest.annotations[REF_NAME] === tag : manifest.digest === digest,
  );
  if (asked === undefined ? found.length === 1 || (found.length > 0 && names.length === 0) : found.length > 0)
    return found;
  const there =
    names.length === 0 ? "none of its images has a tag" : `available tags: ${names.slice(0, 20).join(", ")}`;
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
