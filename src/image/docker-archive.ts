import { createHash } from "node:crypto";
import * as v from "valibot";
import { parseJson } from "../lib/objects";
import { MAX_CONFIG_BYTES, parseImageConfig } from "./image-config";
import { filesError, type ImageFiles, readImageFile, readImageText } from "./image-files";
import type { Descriptor, ImageManifest, ImageSource, ReadOptions } from "./source";
import { capital } from "./transfer/errors";

/**
 * Images in an archive of `docker save`, `podman save` or skopeo's "docker-archive:" (docker's image/tarexport; containers/image,
 * docker/internal/tarfile). manifest.json lists the images, with the files of their configs and layers. Such an archive has no manifest
 * with digests: one is made here, which the store knows the image by. Layers are named by their diff IDs, which unpacking checks.
 */

const FORMAT = "an archive of docker save";
const LIST = "manifest.json";

const listSchema = v.array(
  v.object({
    Config: v.string(),
    RepoTags: v.nullish(v.array(v.string()), []),
    Layers: v.nullish(v.array(v.string()), []),
  }),
);

/** An image in the list of an archive. */
type ListedImage = v.InferOutput<typeof listSchema>[number];

/**
 * An image in the files of such an archive. The caller keeps these open, and closes them.
 *
 * @param asked "NAME:TAG", a tag alone, or "@INDEX" from 0; undefined if the archive has only one image
 */
export function dockerArchiveSource(files: ImageFiles, asked: string | undefined): ImageSource {
  /** The paths of the files by digest. */
  const paths = new Map<string, string>();
  return {
    manifest: async ({ signal }) => {
      const list = v.safeParse(listSchema, parseJson((await readText(files, LIST, signal)).toString("utf8")));
      if (!list.success) throw filesError("content", `The file ${LIST} in ${files.place} is not a list of images.`);
      return await describe(files, chooseImage(list.output, asked, files.place), paths, signal);
    },
    read: (content, options) => readContent(files, content, paths.get(content.digest), options),
  };
}

/** The manifest of an image. @param paths gets the files of its config and layers */
async function describe(
  files: ImageFiles,
  image: ListedImage,
  paths: Map<string, string>,
  signal: AbortSignal,
): Promise<ImageManifest> {
  const config = await readText(files, image.Config, signal, MAX_CONFIG_BYTES);
  const diffIds = parseImageConfig(config.toString("utf8"), `in ${files.place}`).rootfs.diff_ids;
  if (diffIds.length !== image.Layers.length) {
    throw filesError(
      "content",
      `The image in ${files.place} cannot be used: ${LIST} has ${image.Layers.length} layers and its config ${diffIds.length}.`,
    );
  }
  const layers = diffIds.map((digest, index): Descriptor => {
    const path = image.Layers[index] ?? "";
    using file = files.open(path);
    if (file === undefined) {
      throw filesError("not found", `The image in ${files.place} is incomplete: the layer ${path} is missing.`);
    }
    paths.set(digest, path);
    return { mediaType: "application/vnd.docker.image.rootfs.diff.tar", digest, size: file.size };
  });
  const described: Descriptor = {
    mediaType: "application/vnd.docker.container.image.v1+json",
    digest: sha256(config),
    size: config.length,
  };
  paths.set(described.digest, image.Config);
  const made = JSON.stringify({ schemaVersion: 2, config: described, layers });
  return { digest: sha256(made), config: described, layers };
}

/**
 * The image that a job means.
 *
 * @param place of the archive, for errors
 * @throws SourceError that lists what is available
 */
export function chooseImage(images: readonly ListedImage[], asked: string | undefined, place: string): ListedImage {
  const found = asked === undefined ? images : images.filter((image, index) => isAsked(image, index, asked));
  const [first] = found;
  if (first !== undefined && (found.length === 1 || asked?.startsWith("@") === true)) return first;
  const there = images.map(({ RepoTags: names }, index) => (names.length === 0 ? `@${index}` : names.join(", ")));
  const available = `available: ${there.length === 0 ? "none" : there.slice(0, 20).join(", ")}`;
  if (asked !== undefined && found.length === 0) {
    throw filesError("not found", `${capital(place)} has no image ${JSON.stringify(asked)}; ${available}.`);
  }
  throw filesError(
    "not found",
    asked === undefined
      ? `${capital(place)} has ${images.length} images, so the image's name has to end with one of their names; ${available}.`
      : `${capital(place)} has ${found.length} images ${JSON.stringify(asked)}, so the image's name has to end with a complete name; ${available}.`,
  );
}

function isAsked({ RepoTags: names }: ListedImage, index: number, asked: string): boolean {
  if (asked.startsWith("@")) return asked === `@${index}`;
  // A name without a tag means "latest"; one without a registry is Docker's.
  return names.some(
    (name) => [asked, `${asked}:latest`].some((each) => isSameName(name, each)) || tagOf(name) === asked,
  );
}

function isSameName(name: string, asked: string): boolean {
  return [asked, `docker.io/${asked}`, `docker.io/library/${asked}`].includes(name);
}

function tagOf(name: string): string | undefined {
  return /:([^:/]+)$/.exec(name)?.[1];
}

async function* readContent(
  files: ImageFiles,
  { digest }: Descriptor,
  path: string | undefined,
  { signal, onProgress }: ReadOptions,
): AsyncGenerator<Uint8Array> {
  if (path === undefined) throw filesError("not found", `The image in ${files.place} has no file for ${digest}.`);
  let received = 0;
  for await (const chunk of readImageFile(files, path, { signal, format: FORMAT })) {
    received += chunk.length;
    yield chunk;
    onProgress?.(received);
  }
}

function readText(files: ImageFiles, path: string, signal: AbortSignal, most?: number): Promise<Buffer> {
  return readImageText(files, path, { signal, format: FORMAT }, most);
}

function sha256(content: Buffer | string): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
