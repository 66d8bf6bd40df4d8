import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { UnpackError } from "./unpack-error";

/** How an archive is compressed. */
export type Compression = "gzip" | "zstd" | "xz" | "none";

/** Bytes that {@link compressionOf} wants to see. */
export const MAGIC_BYTES = 6;
/** Measured: 128 KiB are twice as fast as zlib's own 16, a megabyte is no faster and takes more memory. */
const CHUNK = 128 * 1024;

/** How something is compressed, by its first bytes: a media type may be wrong, and container engines go by these too. */
export function compressionOf(start: Uint8Array): Compression {
  const begins = (...magic: readonly number[]) => magic.every((byte, index) => start[index] === byte);
  if (begins(0x1f, 0x8b)) return "gzip";
  // A frame, or a skippable one before it (RFC 8878): zstd:chunked layers have these.
  if (
    begins(0x28, 0xb5, 0x2f, 0xfd) ||
    ((start[0] ?? 0) >> 4 === 5 && start[1] === 0x2a && begins(start[0] ?? 0, 0x2a, 0x4d, 0x18))
  )
    return "zstd";
  if (begins(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)) return "xz";
  return "none";
}

/**
 * Undoes a compression: bytes are put in as they come, and come out through `take`.
 *
 * @throws UnpackError for a compression that layers do not have
 */
export function decompressor(compression: Compression, take: (bytes: Buffer) => void): Decompressor {
  if (compression === "none") return { write: async (bytes) => take(bytes), end: async () => {} };
  if (compression === "xz") throw new UnpackError("it is compressed by xz, which layers of images are not");
  return new StreamDecompressor(
    compression === "gzip" ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK }),
    take,
  );
}

/** Takes compressed bytes. */
export interface Decompressor {
  /** Resolves when more may come. @throws UnpackError, and what `take` throws */
  write(bytes: Buffer): Promise<void>;
  /** Resolves when all has come out. @throws the same */
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
    stream.on("error", (error: Error) => fail(new UnpackError(`its compression is damaged (${error.message})`)));
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
