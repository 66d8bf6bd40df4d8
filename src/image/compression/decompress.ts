/**
 * Compression formats, recognized by their first bytes (the *magic number*): media types and file names may be wrong. gzip and zstd are
 * decompressed by the runtime's zlib; zstd-frames.ts checks that zstd data is complete, which the runtime does not. xz and bzip2
 * are rare, and are decompressed by programs of the host (expand.ts).
 *
 * This file recognizes formats, and decompresses layers in the process that unpacks them.
 */

import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { freeBuffer } from "../../lib/buffers";
import { UnpackError } from "../../lib/errors";

/**
 * Bytes of a result, each of which is handed over between two threads. Measured with a layer of 1 GiB: a pull took 2.65 times as long as its
 * slowest stage alone, with 128 KiB (and a garbage collection every 4 MiB, see worker.ts) 4.4 times; it takes 9 MiB more memory.
 */
const CHUNK = 512 * 1024;

/** The compressions that the unpacking process decompresses. */
const COMPRESSIONS = ["gzip", "zstd"] as const;

export type Compression = (typeof COMPRESSIONS)[number] | "none";

/** The compression by the first bytes: a media type may be wrong, and container engines use these too. */
export function compressionOf(start: Uint8Array): Compression {
  return typeOf(start, COMPRESSIONS) ?? "none";
}

/**
 * Decompresses: bytes are written as they arrive, and the result is passed to `take`. Both lose their memory afterwards (freeBuffer()).
 */
export function decompressor(compression: Compression, take: (bytes: Buffer) => void): Decompressor {
  if (compression === "none") {
    const write = async (bytes: Buffer) => {
      take(bytes);
      freeBuffer(bytes);
    };
    return { write, end: async () => {} };
  }
  return new StreamDecompressor(
    compression === "gzip" ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK }),
    take,
  );
}

/**
 * Something follows gzip data that is no further member of it. gzip(1) ignores that, zlib's stream fails, and its last results are lost.
 */
export class TrailingGarbageError extends UnpackError {
  constructor() {
    super("its gzip data is followed by something else");
  }
}

/** zlib's message for a member that has no header; the first one's header is there, because the data was taken for gzip. */
const NO_MEMBER = "incorrect header check";

export interface Decompressor {
  /** Takes ownership of the bytes. Resolves when more can be written. @throws UnpackError, and what `take` throws */
  write(bytes: Buffer): Promise<void>;
  /** Resolves when everything was passed on. @throws the same */
  end(): Promise<void>;
}

/**
 * Decompresses in a thread of the runtime's pool, while this thread works on what came out before: a result is taken after the next piece of
 * work has been given to that thread. Measured with a layer of 1 GiB: 2.4 s instead of 3.4 s. Buffers are freed as soon as they are done
 * with: few garbage collections are needed then.
 */
class StreamDecompressor implements Decompressor {
  readonly #stream: Transform;
  readonly #take: (bytes: Buffer) => void;
  readonly #done: Promise<void>;
  /** Results to be taken. */
  #results: Buffer[] = [];
  /** Resolves when the last piece that was written has been decompressed. */
  #last: Promise<void> = Promise.resolve();
  #failure: unknown;
  #failed = Promise.withResolvers<never>();

  constructor(stream: Transform, take: (bytes: Buffer) => void) {
    this.#stream = stream;
    this.#take = take;
    this.#failed.promise.catch(() => {});
    stream.on("data", (bytes: Buffer) => {
      // The stream gives the thread its next work when this event has been handled.
      if (this.#results.push(bytes) === 1) queueMicrotask(() => this.#takeResults());
    });
    stream.on("error", ({ message }: Error) =>
      this.#fail(
        message === NO_MEMBER
          ? new TrailingGarbageError()
          : new UnpackError(`its compressed data is damaged (${message})`),
      ),
    );
    this.#done = new Promise((resolve) => stream.on("end", resolve));
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    // The thread always has a piece ready, and no more than two are in memory.
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stream.write(bytes, (error) => {
      // After an error the thread may still read it.
      if (!error) freeBuffer(bytes);
      resolve();
    });
    this.#last = promise;
    await Promise.race([before, this.#failed.promise]);
  }

  async end(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#stream.end();
    await Promise.race([this.#done, this.#failed.promise]);
    this.#takeResults();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #takeResults(): void {
    const results = this.#results;
    this.#results = [];
    try {
      for (const bytes of results) {
        if (this.#failure !== undefined) return;
        this.#take(bytes);
        freeBuffer(bytes);
      }
    } catch (error) {
      this.#fail(error);
      this.#stream.destroy();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#failed.reject(this.#failure);
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
