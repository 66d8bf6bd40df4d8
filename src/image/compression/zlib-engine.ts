import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { isRecord } from "../../lib/objects";

/**
 * zlib and zstd of the runtime without the streams of Node around them. A stream allocates memory for each result, which costs as much as a
 * third of the decompression itself, and passes it through functions that take the time of the thread that writes the files.
 *
 * The class below is what those streams use themselves, as their `_handle`. Node does not document it, although `minizlib`, on which npm's
 * `tar` depends, uses it too. This program contains its runtime, so that it cannot meet another one; with a newer one decompress.test.ts
 * fails if that has another interface.
 */

/** What a piece of work left: bytes of the input that were not used, and of the output that are free. */
interface Left {
  readonly input: number;
  readonly output: number;
}

/** A part of a buffer. */
export interface Part {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly length: number;
}

/** A failure that zlib reports. */
export class EngineError extends Error {
  override readonly name = "EngineError";
}

/** Decompresses in a thread of the runtime's pool: one piece of work at a time, whose buffers must stay unchanged until it is done. */
export interface Engine {
  /**
   * Starts a piece of work.
   *
   * @param last no input follows: what is missing is an error
   */
  start(input: Part, output: Part, last: boolean): void;
}

/** The class that the runtime's streams use. */
interface Native {
  onerror: (message: string) => void;
  init(...settings: readonly unknown[]): void;
  write(flush: number, ...parts: readonly [Buffer, number, number, Buffer, number, number]): void;
}

function isNative(value: unknown): value is Native {
  return isRecord(value) && ["init", "write"].every((name) => typeof value[name] === "function");
}

/** How zlib's streams initialize it (zlib.h, "inflateInit2"): the largest window, and settings that only compression uses. */
const GZIP_SETTINGS = [constants.Z_MAX_WINDOWBITS, -1, 8, 0] as const;
/** Parameters of zstd by number; all bits set mean the default, as in its streams. */
const ZSTD_PARAMETERS = new Uint32Array(constants.ZSTD_d_windowLogMax + 1).fill(0xffff_ffff);

/**
 * Makes an engine.
 *
 * @param done called when a piece of work is done
 * @param failed called instead if it failed
 */
export function createEngine(
  compression: "gzip" | "zstd",
  done: (left: Left) => void,
  failed: (error: EngineError) => void,
): Engine {
  const gzip = compression === "gzip";
  const stream = gzip ? createGunzip() : createZstdDecompress();
  const model: unknown = Reflect.get(stream, "_handle");
  const mode = gzip ? constants.GUNZIP : constants.ZSTD_DECOMPRESS;
  const native: unknown =
    isRecord(model) && typeof model.constructor === "function"
      ? Reflect.construct(model.constructor, [mode])
      : undefined;
  stream.destroy();
  if (!isNative(native)) throw new Error("This runtime's zlib has an unknown interface.");
  const state = new Uint32Array(2);
  const settings = gzip ? GZIP_SETTINGS : [ZSTD_PARAMETERS, undefined];
  native.onerror = (message) => failed(new EngineError(message));
  // The last one is a dictionary, which gzip cannot have.
  native.init(...settings, state, () => done({ output: state[0] ?? 0, input: state[1] ?? 0 }), undefined);
  const [more, end] = gzip
    ? [constants.Z_NO_FLUSH, constants.Z_FINISH]
    : [constants.ZSTD_e_continue, constants.ZSTD_e_end];
  return {
    start: (input, output, last) =>
      native.write(
        last ? end : more,
        ...[input.buffer, input.offset, input.length],
        ...[output.buffer, output.offset, output.length],
      ),
  };
}
