/**
 * Compression formats, recognized by their first bytes (the *magic number*): media types and file names may be wrong. gzip and zstd are
 * decompressed by the runtime's zlib; zstd-frames.ts checks that zstd data is complete, which the runtime does not. xz and bzip2
 * are rare, and are decompressed by programs of the host (expand.ts).
 *
 * This file recognizes formats, and decompresses layers in the process that unpacks them.
 */

import { UnpackError } from "../../lib/errors";
import { createEngine, type Engine } from "./zlib-engine";

/** Bytes of a result, each of which is handed over between two threads. */
const CHUNK = 512 * 1024;
const NOTHING = Buffer.alloc(0);

/** The compressions that the unpacking process decompresses. */
const COMPRESSIONS = ["gzip", "zstd"] as const;

export type Compression = (typeof COMPRESSIONS)[number] | "none";

/** The compression by the first bytes: a media type may be wrong, and container engines use these too. */
export function compressionOf(start: Uint8Array): Compression {
  return typeOf(start, COMPRESSIONS) ?? "none";
}

/**
 * Decompresses: bytes are written as they arrive, and the result is passed to `take`, whose bytes are overwritten after it returned.
 */
export function decompressor(compression: Compression, take: (bytes: Buffer) => void): Decompressor {
  if (compression !== "none") return new PoolDecompressor(compression, take);
  return { write: async (bytes) => take(bytes), flush: () => {}, end: async () => {} };
}

/**
 * Something follows gzip data that is no further member of it. gzip(1) ignores that, zlib fails, and its last results are lost.
 */
export class TrailingGarbageError extends UnpackError {
  constructor() {
    super("its gzip data is followed by something else");
  }
}

/** zlib's message for a member that has no header; the first one's header is there, because the data was taken for gzip. */
const NO_MEMBER = "incorrect header check";

export interface Decompressor {
  /**
   * Starts at once; one write at a time. Resolves when the bytes are not needed any more.
   *
   * @throws UnpackError, and what `take` throws
   */
  write(bytes: Buffer): Promise<void>;
  /** Passes on what is left of what was written; not while a write runs. @throws what `take` throws */
  flush(): void;
  /** Resolves when everything was passed on. @throws the same */
  end(): Promise<void>;
}

/**
 * Decompresses in a thread of the runtime's pool, while this thread works on what came out before: a result is taken after that thread has
 * got its next work. Two results are in memory, always the same.
 */
class PoolDecompressor implements Decompressor {
  readonly #engine: Engine;
  readonly #take: (bytes: Buffer) => void;
  /** The one that is being filled, and the other. */
  #output = Buffer.allocUnsafeSlow(CHUNK);
  #other = Buffer.allocUnsafeSlow(CHUNK);
  /** Bytes in the other one that have not been taken. */
  #ready = 0;
  #input: Buffer = NOTHING;
  #offset = 0;
  #last = false;
  /** The compressed data has ended; what follows is ignored. */
  #ended = false;
  #work = Promise.withResolvers<void>();
  #failure: unknown;

  constructor(compression: "gzip" | "zstd", take: (bytes: Buffer) => void) {
    this.#take = take;
    this.#engine = createEngine(
      compression,
      (left) => this.#done(left.input, left.output),
      ({ message }) =>
        this.#fail(
          message === NO_MEMBER
            ? new TrailingGarbageError()
            : new UnpackError(`its compressed data is damaged (${message})`),
        ),
    );
  }

  write(bytes: Buffer): Promise<void> {
    return bytes.length === 0 ? Promise.resolve() : this.#begin(bytes, false);
  }

  async end(): Promise<void> {
    await this.#begin(NOTHING, true);
    this.flush();
  }

  #begin(input: Buffer, last: boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve();
    this.#work = Promise.withResolvers();
    this.#input = input;
    this.#offset = 0;
    this.#last = last;
    this.#startAndTake();
    return this.#work.promise;
  }

  /** Gives the thread its next work, and takes the last result meanwhile. */
  #startAndTake(): void {
    const length = this.#input.length - this.#offset;
    this.#engine.start(
      { buffer: this.#input, offset: this.#offset, length },
      { buffer: this.#output, offset: 0, length: CHUNK },
      this.#last,
    );
    try {
      this.flush();
    } catch (error) {
      this.#fail(error);
    }
  }

  flush(): void {
    const length = this.#ready;
    this.#ready = 0;
    if (length > 0) this.#take(this.#other.subarray(0, length));
  }

  #done(input: number, output: number): void {
    if (this.#failure !== undefined) return;
    this.#offset = this.#input.length - input;
    [this.#output, this.#other] = [this.#other, this.#output];
    this.#ready = CHUNK - output;
    if (output === 0) {
      this.#startAndTake();
      return;
    }
    // It stops before the end of its input only where the data ends.
    this.#ended = input > 0;
    this.#work.resolve();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#work.reject(this.#failure);
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
