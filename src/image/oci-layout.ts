import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { arch } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { errnoCode } from "../host/errno";
import { type Descriptor, type ImageManifest, type ImageSource, type ReadOptions, SourceError } from "./source";

/** Images in a directory (OCI image spec, image-layout.md), as skopeo, buildah and umoci write it. */

const descriptor = v.object({
  mediaType: v.string(),
  digest: v.pipe(v.string(), v.regex(/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/)),
  size: v.pipe(v.number(), v.integer(), v.minValue(0)),
});
const listed = v.object({
  ...descriptor.entries,
  platform: v.nullish(v.object({ os: v.string(), architecture: v.string() })),
  annotations: v.nullish(v.record(v.string(), v.string())),
});
const indexSchema = v.object({ manifests: v.array(listed) });
const manifestSchema = v.object({ config: descriptor, layers: v.array(descriptor) });
const eitherSchema = v.union([manifestSchema, indexSchema]);
type Listed = v.InferOutput<typeof listed>;

const REF_NAME = "org.opencontainers.image.ref.name";
/** Bytes of an index or manifest; registries allow four megabytes. */
const MAX_BYTES = 4 * 1024 * 1024;
const READ_BYTES = 256 * 1024;

/** Where an image in a directory is: what "oci:/PATH", "oci:/PATH:TAG" and "oci:/PATH@DIGEST" say. */
export interface LayoutReference {
  readonly directory: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** Reads an image's name as one in a directory; undefined for any other. */
export function parseLayoutReference(image: string): LayoutReference | undefined {
  const match = /^oci:(?:\/\/(?=\/))?(\/(?!\/)[^\0]*?)(?::([\w][\w.-]{0,127})|@(sha256:[0-9a-f]{64}))?$/.exec(image);
  if (match === null) return undefined;
  const [, directory = "", tag, digest] = match;
  return { directory, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** The image in a directory. */
export function ociLayoutSource(reference: LayoutReference): ImageSource {
  const { directory } = reference;
  return {
    manifest: async () => {
      const index = parsed(indexSchema, await text(join(directory, "index.json"), directory), directory);
      const chosen = choose(index.manifests, reference);
      return resolve(directory, chosen, 0);
    },
    read: (content, options) => readBlob(directory, content, options),
  };
}

/** An image may be a list of images for several platforms, and the list may be one of lists. */
async function resolve(directory: string, chosen: Listed, depth: number): Promise<ImageManifest> {
  if (depth > 3) throw failure("content", `The image in ${directory} is a list of lists of lists.`);
  const content = await text(blobPath(directory, chosen.digest), directory);
  check(directory, chosen, createHash(algorithmOf(chosen.digest)).update(content).digest("hex"), content.length);
  const found = parsed(eitherSchema, content, directory);
  if ("config" in found) return { digest: chosen.digest, config: found.config, layers: found.layers };
  const own = found.manifests.find(
    ({ platform }) => platform?.os === "linux" && platform.architecture === (arch() === "arm64" ? "arm64" : "amd64"),
  );
  const single = found.manifests.length === 1 ? found.manifests[0] : undefined;
  const next = own ?? single;
  if (next === undefined) throw failure("not found", `The image in ${directory} is not made for linux/amd64.`);
  return resolve(directory, next, depth + 1);
}

function choose(manifests: readonly Listed[], { directory, tag, digest }: LayoutReference): Listed {
  const names = manifests.flatMap(({ annotations }) => annotations?.[REF_NAME] ?? []);
  const there = names.length === 0 ? "none of its images has a name" : `there are ${names.slice(0, 20).join(", ")}`;
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
      ? `The directory ${directory} has ${manifests.length} images, so the image's name has to end with one's tag: ${there}.`
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
      `The image in ${directory} is damaged: ${digest} has not the ${size} bytes it should have.`,
    );
  }
  if (`${algorithmOf(digest)}:${found}` !== digest) {
    throw failure("content", `The image in ${directory} is damaged: the content of ${digest} has another digest.`);
  }
}

async function text(path: string, directory: string): Promise<string> {
  try {
    const content = await readFile(path);
    if (content.length > MAX_BYTES) throw failure("content", `${path} is too large for a list of images.`);
    return content.toString("utf8");
  } catch (error) {
    throw unreadable(error, directory);
  }
}

function parsed<TSchema extends v.GenericSchema>(schema: TSchema, content: string, directory: string) {
  try {
    const result = v.safeParse(schema, JSON.parse(content));
    if (result.success) return result.output;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw failure("content", `The directory ${directory} is no OCI image layout, or damaged.`);
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
        `The directory ${directory} is no OCI image layout, or not complete: a file of it is missing.`,
        error,
      )
    : failure("connection", `The image in ${directory} cannot be read: ${code}.`, error);
}

function failure(problem: "not found" | "content" | "connection", message: string, cause?: unknown): SourceError {
  return new SourceError(message, { problem, recoverable: false, cause });
}
