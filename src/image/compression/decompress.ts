/**
 * Compression formats, recognized by their first bytes (the *magic number*): media types and file names may be wrong. gzip and zstd are
 * decompressed by the runtime's zlib; zstd-frames.ts checks that zstd data is complete, which the runtime does not. xz and bzip2 exist
 * for machine images only, and are decompressed by programs of the host (image/machine/expand.ts).
 *
 * This file recognizes formats, and decompresses layers in the process that unpacks them.
 */

import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { UnpackError } from "../../lib/errors";

/** Measured: 128 KiB are twice as fast as zlib's default of 16; a megabyte is no faster and takes more memory. */
const CHUNK = 128 * 1024;

/** The compressions of archives that are recognised. */
const COMPRESSIONS = ["gzip", "zstd", "xz"] as const;

export type Compression = (typeof COMPRESSIONS)[number] | "none";

/** The compression by the first bytes: a media type may be wrong, and container engines use these too. */
export function compressionOf(start: Uint8Array): Compression {
  return typeOf(start, COMPRESSIONS) ?? "none";
}

/**
 * Decompresses: bytes are written as they arrive, and the result is passed to `take`.
 *
 * @throws UnpackError for a compression that layers do not use
 */
export function decompressor(compression: Compression, take: (bytes: Buffer) => void): Decompressor {
  if (compression === "none") return { write: async (bytes) => take(bytes), end: async () => {} };
  if (compression === "xz") throw new UnpackError("it is compressed with xz, which is not allowed for image layers");
  return new StreamDecompressor(
    compression === "gzip" ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK }),
    take,
  );
}

export interface Decompressor {
  /** Resolves when more can be written. @throws UnpackError, and what `take` throws */
  write(bytes: Buffer): Promise<void>;
  /** Resolves when everything was passed on. @throws the same */
  end(): Promise<void>;
}

class StreamDecompressor implements Decompressor {
  readonly #stream: Transform;
  readonly #done: Promise<void>;
  #failure: unknown;
  #failed = Promise.withResolvers<never>();

  constructor(stream: Transform, take: (bytes: Buffer) => void) {
    this.#stream = stream;
    this.#failed.promise.catch(() => {});
    const fail = (error: unknown) => {
      this.#failure ??= error;
      this.#failed.reject(this.#failure);
    };
    stream.on("data", (bytes: Buffer) => {
      if (this.#failure !== undefined) return;
      try {
        take(bytes);
      } catch (error) {
        fail(error);
        stream.destroy();
      }
    });
    stream.on("error", (error: Error) => fail(new UnpackError(`its compressed data is damaged (${error.message})`)));
    this.#done = new Promise((resolve) => stream.on("end", resolve));
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#stream.write(bytes)) return;
    await Promise.race([new Promise((resolve) => this.#stream.once("drain", resolve)), this.#failed.promise]);
  }

  async end(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#stream.end();
    await Promise.race([this.#done, this.#failed.promise]);
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** The types of files that are recognized by their first bytes. */
export type FileType = "gzip" | "zstd" | "xz" | "bzip2" | "qcow2";

/** How many bytes {@link isOneOf} needs. */
export const MAGIC_BYTES = 6;

/** The first bytes of each type; of a zstd skippable frame, the lowest four bits are free. */
const MAGIC: Readonly<Record<FileType, readonly (readonly number[])[]>> = {
  gzip: [[0x1f, 0x8b]],
  // A frame, or a skippable one before it (RFC 8878): zstd:chunked layers have these.
  zstd: [[0x28, 0xb5, 0x2f, 0xfd], ...Array.from({ length: 16 }, (_, low) => [0x50 + low, 0x2a, 0x4d, 0x18])],
  xz: [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  bzip2: [[0x42, 0x5a, 0x68]],
  qcow2: [[0x51, 0x46, 0x49, 0xfb]],
};

/** Whether content begins with the magic number of a type. */
export function isOneOf(start: Uint8Array, type: FileType): boolean {
  return MAGIC[type].some((magic) => magic.every((byte, index) => start[index] === byte));
}

/** The first of some types that content has by its first bytes: a media type or a file's name may be wrong. */
export function typeOf<Type extends FileType>(start: Uint8Array, types: readonly Type[]): Type | undefined {
  return types.find((type) => isOneOf(start, type));
}
