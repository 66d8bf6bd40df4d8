import { closeSync } from "node:fs";
import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { writeFd } from "../../linux/fd-stream";
import { createPipe } from "../../linux/pipe";
import { findProgram } from "../../linux/programs";
import { MAGIC_BYTES, typeOf } from "./decompress";
import { ZstdFrames } from "./zstd-frames";

/** A download that cannot be decompressed; the message is the last clause of a sentence. */
export class ExpandError extends Error {
  override readonly name = "ExpandError";
}

/** Compressions that a program on the host decompresses; its name, and the package that has it. */
const PROGRAMS = {
  xz: { name: "xz", package: "xz-utils" },
  bzip2: { name: "bzip2", package: "bzip2" },
} as const;
/** The exit code of gzip(1) for a warning: garbage follows the data, and is ignored. */
const GZIP = { name: "gzip", package: "gzip", warning: 2 } as const;
const CHUNK = 128 * 1024;

/** The compressions that {@link expand} handles. */
export type Compression = "gzip" | "zstd" | keyof typeof PROGRAMS;

/**
 * Decompresses content by its magic number; content that is not compressed, or not with one of the requested compressions,
 * passes unchanged. Reads no faster than the consumer.
 *
 * @throws ExpandError, and what the content throws
 */
export async function* expand(
  content: AsyncIterable<Uint8Array>,
  compressions: readonly Compression[],
): AsyncGenerator<Uint8Array> {
  const { start, rest } = await firstBytes(content);
  const compression = typeOf(start, compressions);
  if (compression === undefined) yield* rest;
  else if (compression === "gzip" || compression === "zstd") yield* inflated(rest, compression);
  else yield* byProgram(rest, PROGRAMS[compression]);
}

/** Reads the first bytes, as many as the magic numbers need. */
async function firstBytes(content: AsyncIterable<Uint8Array>) {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const iterator = content[Symbol.asyncIterator]();
  while (bytes < MAGIC_BYTES) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    chunks.push(value);
    bytes += value.length;
  }
  async function* rest(): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
      for (;;) {
        const { done, value } = await iterator.next();
        if (done === true) return;
        yield value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { start: Buffer.concat(chunks), rest: rest() };
}

/** Passes content through. @throws ExpandError at its end if that is not the end of a frame */
async function* wholeFrames(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  for await (const chunk of content) {
    frames.push(chunk);
    yield chunk;
  }
  if (!frames.complete) throw new ExpandError("its zstd data is damaged: the end is missing");
}

async function* inflated(content: AsyncIterable<Uint8Array>, compression: "gzip" | "zstd"): AsyncGenerator<Uint8Array> {
  const stream: Transform =
    compression === "gzip" ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK });
  const source = compression === "zstd" ? wholeFrames(content) : content;
  let failure: unknown;
  const feeding = pipeline(Readable.from(source, { objectMode: false }), stream).catch((error: unknown) => {
    failure = error;
  });
  try {
    for await (const chunk of stream) yield chunk;
  } catch (error) {
    failure ??= error;
  } finally {
    stream.destroy();
    await feeding;
  }
  if (failure === undefined) return;
  const code = failure instanceof Error && "code" in failure ? String(failure.code) : "";
  if (/^(?:Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code)) throw new ExpandError(`its ${compression} data is damaged`);
  throw failure;
}

/** Decompresses gzip data that garbage follows. @throws ExpandError, and what the content throws */
export function expandIgnoringGarbage(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return byProgram(content, GZIP);
}

interface Program {
  readonly name: string;
  /** Debian's package with it. */
  readonly package: string;
  /** An exit code besides 0 that means success. */
  readonly warning?: number;
}

async function* byProgram(content: AsyncIterable<Uint8Array>, wanted: Program): AsyncGenerator<Uint8Array> {
  const { name } = wanted;
  const program = findProgram(name);
  if (program === undefined) {
    throw new ExpandError(
      `it is compressed with ${name}, which is not installed on this client (package "${wanted.package}")`,
    );
  }
  const { readEnd, writeEnd } = createPipe();
  const input = writeFd(writeEnd);
  const child = Bun.spawn([program, "--decompress", "--stdout"], {
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
    cwd: "/",
    stdio: [readEnd, "pipe", "ignore"],
  });
  closeSync(readEnd);
  let failure: unknown;
  const feeding = (async () => {
    try {
      for await (const chunk of content) await input.write(chunk);
    } catch (error) {
      failure = error;
    } finally {
      input.close();
    }
  })();
  let over = false;
  try {
    yield* child.stdout;
    over = true;
  } finally {
    if (!over) child.kill("SIGKILL");
    await child.exited;
    await feeding;
  }
  if (failure !== undefined) throw failure;
  if (child.exitCode !== 0 && child.exitCode !== wanted.warning) throw new ExpandError(`its ${name} data is damaged`);
}
