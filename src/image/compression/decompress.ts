/**
 * Compression formats, recognized by their first bytes (the *magic number*): media types and file names may be wrong. gzip and zstd are
 * decompressed by the runtime's zlib; zstd-frames.ts checks that zstd data is complete, which the runtime does not. xz and bzip2 exist
 * for machine images only, and are decompressed by programs of the host (image/machine/expand.ts).
 *
 * This file decompresses layers, in the process that unpacks them.
 */

import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { UnpackError } from "../../lib/errors";
import { typeOf } from "./magic";

/** Measured: 128 KiB are twice as fast as zlib's default of 16; a megabyte is no faster and takes more memory. */
const CHUNK = 128 * 1024;

/** The compressions of archives that are recognised. */
const COMPRESSIONS = ["gzip", "zstd", "xz"] as const;

/** The compression of an archive. */
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

/** Accepts compressed bytes. */
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
