import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import type { PluginOptions } from "../config/plugin/options";
import { type ExportedImage, exportImage } from "../image/store/export";
import { type ListedImage, listImages } from "../image/store/inventory";
import { imagePath } from "../image/store/pull";
import { readImage, storePaths } from "../image/store/store-format";
import { errnoCode } from "../lib/errors";
import { fileLock } from "../linux/flock";
import { formatReference, parseReference } from "../values/image-reference";
import { type Terminal, UsageError } from "./command";

/** What `images export` writes where. */
interface ExportRequest {
  /** As on the command line. */
  readonly names: readonly string[];
  /** A file, or standard output if absent or "-". */
  readonly output: string | undefined;
}

const STDOUT = 1;

/**
 * `images export`: writes an image of the store as an oci-archive.
 *
 * @returns exit code
 * @throws UsageError if it is not in the store, or the file cannot be written; StoreError
 */
export async function exportStored(
  { names, output = "-" }: ExportRequest,
  options: PluginOptions,
  terminal: Terminal,
): Promise<number> {
  const [name, ...more] = names;
  if (name === undefined || more.length > 0) throw new UsageError("Expected the name or the digest of one image.");
  if (output === "-" && process.stdout.isTTY) {
    throw new UsageError("The archive is not written to a terminal: set -o FILE, or redirect the output.");
  }
  const paths = storePaths(options.image_store);
  // The lock keeps the layers from being removed while they are read.
  using _lock = await fileLock(paths.lock, "shared");
  const found = findImage(await listImages(paths), name, options.registry.default);
  const image = await readImage(imagePath(paths, found.digest));
  if (image === undefined) throw new UsageError(`The image ${name} was removed meanwhile.`);
  const reference = referenceOf(found.names, name, options.registry.default);
  const exported = await exportImage(paths, image, reference === undefined ? {} : namesOf(reference));
  if (output === "-") writeAll(exported, STDOUT);
  else writeArchive(exported, output);
  terminal.err(`${name}: ${(exported.size / 1e6).toFixed(1)} MB, manifest ${exported.digest}\n`);
  return 0;
}

/** The image that a name, a digest or the beginning of one means. @throws UsageError if it means none, or several */
export function findImage(images: readonly ListedImage[], name: string, defaultRegistry: string): ListedImage {
  const complete = completeName(name, defaultRegistry);
  const named = images.filter(
    ({ names }) => names.includes(name) || (complete !== undefined && names.includes(complete)),
  );
  const short = /^(?:sha256:)?([0-9a-f]{6,64})$/.exec(name)?.[1];
  const digests = short === undefined ? [] : images.filter(({ digest }) => digest.startsWith(`sha256:${short}`));
  const found = named.length > 0 ? named : digests;
  const [only, ...others] = found;
  if (only === undefined) {
    throw new UsageError(
      `The image store has no image ${JSON.stringify(name)}: "images list" shows their names and digests.`,
    );
  }
  if (others.length > 0)
    throw new UsageError(`${JSON.stringify(name)} means ${found.length} images: write more of the digest.`);
  return only;
}

function completeName(name: string, defaultRegistry: string): string | undefined {
  try {
    return formatReference(parseReference(name, defaultRegistry));
  } catch {
    return undefined;
  }
}

/** The name that the archive gets: the one that was asked for, otherwise the first of the image. */
function referenceOf(names: readonly string[], asked: string, defaultRegistry: string): string | undefined {
  const complete = completeName(asked, defaultRegistry);
  return names.find((name) => name === asked || name === complete) ?? names[0];
}

function namesOf(reference: string): { readonly name?: string; readonly tag?: string } {
  // The name of an image of a file has its path, and its size and time.
  if (/^(?:oci|(?:oci-|docker-)?archive):/.test(reference)) return {};
  const { tag } = parseReference(reference);
  return { name: reference, ...(tag === undefined ? {} : { tag }) };
}

/** The file has its name only when it is complete. */
function writeArchive(image: ExportedImage, path: string): void {
  const beside = `${path}.${process.pid}.part`;
  try {
    const fd = openSync(beside, "wx", 0o600);
    try {
      writeAll(image, fd);
    } finally {
      closeSync(fd);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    const code = errnoCode(error);
    if (code === undefined) throw error;
    throw new UsageError(`${path} cannot be written: ${code}.`);
  }
}

function writeAll(image: ExportedImage, fd: number): void {
  for (const chunk of image.read()) {
    for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
  }
}
