import { createHash } from "node:crypto";
import { defined } from "../lib/objects";
import { MAX_CONFIG_BYTES } from "./image-config";
import { filesError, type ImageFiles, readImageFile, readImageText } from "./image-files";
import { type IndexEntry, type ManifestDocument, ManifestError, parseManifest } from "./manifest";
import { resolveManifest } from "./resolve-manifest";
import { type Descriptor, type ImageSource, type ReadOptions, readAll } from "./source";
import { capital } from "./transfer/errors";

/** Images in an OCI layout (OCI image spec, image-layout.md), as written by skopeo, buildah and umoci: a directory, or an archive of one. */

const REF_NAME = "org.opencontainers.image.ref.name";
const FORMAT = "an OCI image layout";

/** Which image of a layout is meant; neither if it has only one. */
export interface LayoutSelection {
  readonly tag?: string;
  readonly digest?: string;
}

/** The location of an image in a directory: "oci:/PATH", "oci:/PATH:TAG" or "oci:/PATH@DIGEST"; a relative PATH is the task's. */
export interface LayoutReference extends LayoutSelection {
  readonly directory: string;
}

/**
 * Parses an image's name as one in a directory; undefined for any other. A relative path has a slash, and is no port of a registry "oci"
 * with an image's name.
 */
export function parseLayoutReference(image: string): LayoutReference | undefined {
  const match =
    /^oci:(?:\/\/(?=\/))?((?:\/(?!\/)|(?!\d+\/)[^/\0:@]+\/)[^\0]*?)(?::([\w][\w.-]{0,127})|@(sha256:[0-9a-f]{64}))?$/.exec(
      image,
    );
  if (match === null) return undefined;
  const [, directory = "", tag, digest] = match;
  return { directory, ...defined({ tag, digest }) };
}

/** An image in the files of a layout. The caller keeps these open, and closes them. */
export function ociLayoutSource(files: ImageFiles, selection: LayoutSelection): ImageSource {
  const read: ImageSource["read"] = (content, options) => readBlob(files, content, options);
  return {
    read,
    manifest: async (options) => {
      const { signal } = options;
      try {
        const listed = await readImageText(files, "index.json", { signal, format: FORMAT });
        const index = parseManifest(listed.toString("utf8"));
        if (index.kind !== "index") throw new ManifestError("index.json has no list of images");
        const document = (content: Descriptor) => readDocument(files, content, signal);
        const chosen = choose(index.entries, selection, files);
        const root =
          chosen.length === 1 && chosen[0] !== undefined
            ? { digest: chosen[0].digest, parsed: await document(chosen[0]) }
            : { digest: "", parsed: { kind: "index", entries: chosen } as const };
        const config = (content: Descriptor) => readAll({ read }, content, MAX_CONFIG_BYTES, options);
        return await resolveManifest(root, { document, config });
      } catch (error) {
        if (!(error instanceof ManifestError)) throw error;
        throw filesError("content", `The image in ${files.place} cannot be used: ${error.message}.`);
      }
    },
  };
}

async function readDocument(files: ImageFiles, content: Descriptor, signal: AbortSignal): Promise<ManifestDocument> {
  const document = await readImageText(files, blobPath(content.digest), { signal, format: FORMAT });
  check(files, content, createHash(algorithmOf(content.digest)).update(document).digest("hex"), document.length);
  return parseManifest(document.toString("utf8"));
}

/** The entries that a selection may mean: one, or without a tag those of one image for several platforms. */
function choose(
  manifests: readonly IndexEntry[],
  { tag, digest }: LayoutSelection,
  { place }: ImageFiles,
): readonly IndexEntry[] {
  const names = manifests.flatMap(({ annotations }) => annotations[REF_NAME] ?? []);
  const asked = digest ?? tag;
  const found = manifests.filter((manifest) =>
    digest === undefined ? tag === undefined || manifest.annotations[REF_NAME] === tag : manifest.digest === digest,
  );
  if (asked === undefined ? found.length === 1 || (found.length > 0 && names.length === 0) : found.length > 0)
    return found;
  const there =
    names.length === 0 ? "none of its images has a tag" : `available tags: ${names.slice(0, 20).join(", ")}`;
  throw filesError(
    "not found",
    asked === undefined
      ? `${capital(place)} has ${manifests.length} images, so the image's name has to end with a tag: ${there}.`
      : `${capital(place)} has no image ${JSON.stringify(asked)}: ${there}.`,
  );
}

async function* readBlob(files: ImageFiles, content: Descriptor, options: ReadOptions): AsyncGenerator<Uint8Array> {
  const { signal, onProgress } = options;
  const hash = createHash(algorithmOf(content.digest));
  let received = 0;
  for await (const chunk of readImageFile(files, blobPath(content.digest), { signal, format: FORMAT })) {
    received += chunk.length;
    hash.update(chunk);
    if (received > content.size) break;
    yield chunk;
    onProgress?.(received);
  }
  check(files, content, hash.digest("hex"), received);
}

function check({ place }: ImageFiles, { digest, size }: Descriptor, found: string, length: number): void {
  if (length !== size) {
    throw filesError(
      "content",
      `The image in ${place} is damaged: size mismatch of ${digest}, expected ${size} bytes.`,
    );
  }
  if (`${algorithmOf(digest)}:${found}` !== digest) {
    throw filesError("content", `The image in ${place} is damaged: digest mismatch of ${digest}.`);
  }
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function algorithmOf(digest: string): string {
  return digest.split(":")[0] ?? "";
}
