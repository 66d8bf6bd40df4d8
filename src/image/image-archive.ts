import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { freeBuffer } from "../lib/buffers";
import { errnoCode, StoreError, UnpackError } from "../lib/errors";
import { defined } from "../lib/objects";
import { readAt, readRange } from "../linux/read-range";
import { openWithoutSymlinks } from "../linux/rooted-path";
import { findMember, indexTar } from "./archive/tar-index";
import { ARCHIVE_COMPRESSIONS } from "./archive-kind";
import { MAGIC_BYTES, typeOf } from "./compression/decompress";
import { ExpandError, expand } from "./compression/expand";
import { filesError, type ImageFiles } from "./image-files";
import { refuseFullDisk } from "./machine/free-space";
import { capital } from "./transfer/errors";

/** How the files of an archive are laid out; "any" is decided by what it contains. */
export type ArchiveFormat = "oci" | "docker" | "any";

/** The location of an image in an archive; a relative path is the task's. */
export interface ArchiveReference {
  readonly format: ArchiveFormat;
  readonly path: string;
  /** What the name says after the file: a tag, a name, "@INDEX" or "@sha256:…". */
  readonly asked?: string;
}

/**
 * Parses "oci-archive:FILE[:TAG]" or "docker-archive:FILE[:NAME:TAG]", as skopeo and podman name them (containers-transports(5)): the file's
 * name has no colon. Undefined for any other name.
 */
export function parseArchiveReference(image: string): ArchiveReference | undefined {
  const match = /^(oci|docker)-archive:(?:\/\/(?=\/))?([^\0:@]+)(?::([^\0]+)|(@[^\0]+))?$/.exec(image);
  if (match === null) return undefined;
  const [, kind, path = "", name, at] = match;
  return { format: kind === "docker" ? "docker" : "oci", path, ...defined({ asked: name ?? at }) };
}

/** Expanded bytes between two looks at the disk's free space. */
const LOOK_EVERY = 32 * 1024 * 1024;

/** How an archive is opened. */
interface OpenRequest {
  /** Absolute, without symlinks. */
  readonly path: string;
  /** Where a compressed archive is expanded to. */
  readonly temporary: string;
  /** Bytes to keep free on the disk of `temporary`. */
  readonly keepFree: number;
  readonly signal: AbortSignal;
}

/**
 * The files of a tar archive. A compressed one is first expanded into a file without a name, which is gone when the result is disposed of.
 *
 * @throws SourceError, StoreError, and what `signal` aborts with
 */
export async function archiveFiles(request: OpenRequest): Promise<ImageFiles> {
  const { path, signal } = request;
  const place = `the archive ${path}`;
  using held = new DisposableStack();
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const written = openWithoutSymlinks(path, flags);
  if (written === undefined) throw filesError("not found", `${capital(place)} cannot be opened.`);
  held.adopt(written, closeSync);
  if (!fstatSync(written).isFile()) throw filesError("not found", `${capital(place)} is not a regular file.`);
  try {
    const compressed = typeOf(await readAt(written, 0, MAGIC_BYTES), ARCHIVE_COMPRESSIONS) !== undefined;
    const fd = compressed ? held.adopt(await expandFile(written, request), closeSync) : written;
    const index = await indexTar(fd, fstatSync(fd).size, signal);
    const kept = held.move();
    return {
      place,
      open: (name) => {
        const range = findMember(index, name);
        return range === undefined ? undefined : { fd, ...range, [Symbol.dispose]: () => {} };
      },
      [Symbol.dispose]: () => kept.dispose(),
    };
  } catch (error) {
    if (error instanceof UnpackError || error instanceof ExpandError) {
      throw filesError("content", `${capital(place)} cannot be read: ${error.message}.`, error);
    }
    const code = errnoCode(error);
    if (code === undefined || error instanceof StoreError) throw error;
    if (code === "ENOSPC" || code === "EDQUOT") throw error;
    throw filesError("connection", `${capital(place)} cannot be read: ${code}.`, error);
  }
}

/** The expanded content of a compressed file, in a file that has no name any more. */
async function expandFile(compressed: number, { temporary, keepFree, signal, path }: OpenRequest): Promise<number> {
  const name = join(temporary, crypto.randomUUID());
  const space = { directory: temporary, keepFree, refusal: `the archive ${path} is not expanded` };
  await refuseFullDisk(space);
  const fd = openSync(name, "wx+", 0o600);
  try {
    // Another process that opens the store may already have removed it.
    await rm(name, { force: true });
    const { size } = fstatSync(compressed);
    let written = 0;
    let next = LOOK_EVERY;
    for await (const chunk of expand(readRange(compressed, { offset: 0, size }, signal), ARCHIVE_COMPRESSIONS)) {
      signal.throwIfAborted();
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at, chunk.length - at);
      written += chunk.length;
      freeBuffer(chunk);
      if (written < next) continue;
      next = written + LOOK_EVERY;
      await refuseFullDisk(space);
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
