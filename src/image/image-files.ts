import { closeSync, constants, fstatSync } from "node:fs";
import { errnoCode } from "../lib/errors";
import { O_PATH } from "../linux/constants";
import { type FileRange, readRange } from "../linux/read-range";
import { openFileInTree, openWithoutSymlinks } from "../linux/rooted-path";
import { MOST_MANIFEST_BYTES } from "./manifest";
import { SourceError } from "./source";
import { capital } from "./transfer/errors";

/** A file of an image, open for reading. */
export interface OpenFile extends FileRange, Disposable {
  readonly fd: number;
}

/** The files of images: a directory, or an archive of one. */
export interface ImageFiles extends Disposable {
  /** For messages, such as "the directory /srv/images". */
  readonly place: string;
  /** Opens a regular file by its path; undefined if it does not exist. */
  open(path: string): OpenFile | undefined;
}

/**
 * The files of a directory. No path or symlink in it leads outside, and what is no regular file counts as missing.
 *
 * @param directory absolute, without symlinks
 * @throws SourceError if it cannot be opened
 */
export function directoryFiles(directory: string): ImageFiles {
  const place = `the directory ${directory}`;
  const root = openWithoutSymlinks(directory, O_PATH | constants.O_DIRECTORY);
  if (root === undefined) throw filesError("not found", `${capital(place)} cannot be opened.`);
  return {
    place,
    open: (path) => {
      const fd = openFileInTree({ fd: root }, path);
      if (fd === undefined) return undefined;
      return { fd, offset: 0, size: fstatSync(fd).size, [Symbol.dispose]: () => closeSync(fd) };
    },
    [Symbol.dispose]: () => closeSync(root),
  };
}

/** How files are read. */
interface Reading {
  readonly signal: AbortSignal;
  /** What the files have to be, for messages: "an OCI image layout". */
  readonly format: string;
}

/**
 * The content of a file, in pieces that the consumer owns.
 *
 * @throws SourceError if it does not exist or cannot be read, and what `signal` aborts with
 */
export async function* readImageFile(files: ImageFiles, path: string, reading: Reading): AsyncGenerator<Uint8Array> {
  using file = files.open(path);
  if (file === undefined) throw missing(files, path, reading);
  try {
    yield* readRange(file.fd, file, reading.signal);
  } catch (error) {
    throw unreadable(error, files);
  }
}

/**
 * The text of a manifest or list.
 *
 * @param most its maximum size in bytes
 * @throws SourceError if it does not exist, cannot be read or is too large, and what `signal` aborts with
 */
export async function readImageText(
  files: ImageFiles,
  path: string,
  reading: Reading,
  most = MOST_MANIFEST_BYTES,
): Promise<Buffer> {
  using file = files.open(path);
  if (file === undefined) throw missing(files, path, reading);
  if (file.size > most) {
    throw filesError(
      "content",
      `${path} in ${files.place} has ${file.size} bytes: at most ${most} are allowed for a list of images or an image's config.`,
    );
  }
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of readRange(file.fd, file, reading.signal)) pieces.push(piece);
  } catch (error) {
    throw unreadable(error, files);
  }
  return Buffer.concat(pieces);
}

/** An error of an image's files. No retry helps. */
export function filesError(
  problem: "not found" | "content" | "connection",
  message: string,
  cause?: unknown,
): SourceError {
  return new SourceError(message, { problem, recoverable: false, cause });
}

function missing({ place }: ImageFiles, path: string, { format }: Reading): SourceError {
  const why = `the file ${JSON.stringify(path.slice(0, 200))} is missing`;
  return filesError("not found", `${capital(place)} is not ${format}, or is incomplete: ${why}.`);
}

function unreadable(error: unknown, files: ImageFiles): unknown {
  const code = errnoCode(error);
  if (error instanceof SourceError || code === undefined) return error;
  return filesError("connection", `The image in ${files.place} cannot be read: ${code}.`, error);
}
