import { closeSync } from "node:fs";
import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { writeFd } from "../../exec/fd-streams";
import { createPipe } from "../../host/libc";
import { findProgram } from "../../host/programs";
import { isOneOf } from "./magic";
import { ZstdFrames } from "./zstd-frames";

/** A file that cannot be made of what was downloaded; the message is the clause that ends a sentence. */
export class ExpandError extends Error {
  override readonly name = "ExpandError";
}

/** Compressions that a program of the host undoes; its name. */
const PROGRAMS = { xz: "xz", bzip2: "bzip2" } as const;
const CHUNK = 128 * 1024;

/** What {@link expand} undoes. */
export type Compression = "gzip" | "zstd" | keyof typeof PROGRAMS;

/**
 * Undoes the compression of something, whose first bytes tell which one it is; what is not compressed, or by something that is not
 * asked for, comes as it is. No faster than it is taken.
 *
 * @throws ExpandError, and what the content throws
 */
export async function* expand(
  content: AsyncIterable<Uint8Array>,
  compressions: readonly Compression[],
): AsyncGenerator<Uint8Array> {
  const { start, rest } = await beginning(content);
  const compression = compressions.find((name) => isOneOf(start, name));
  if (compression === undefined) yield* rest;
  else if (compression === "gzip" || compression === "zstd") yield* inflated(rest, compression);
  else yield* byProgram(rest, PROGRAMS[compression]);
}

/** As many first bytes as the magic numbers need. */
const MAGIC_BYTES = 6;

async function beginning(content: AsyncIterable<Uint8Array>) {
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

/** Passes content on. @throws ExpandError at its end, where it is not that of a frame */
async function* wholeFrames(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  for await (const chunk of content) {
    frames.push(chunk);
    yield chunk;
  }
  if (!frames.complete) throw new ExpandError("its compression by zstd is damaged: the end is missing");
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
  if (/^(?:Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code))
    throw new ExpandError(`its compression by ${compression} is damaged`);
  throw failure;
}

async function* byProgram(content: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const program = findProgram(name);
  if (program === undefined) {
    throw new ExpandError(
      `it is compressed by ${name}, a program that is not installed here (package "${name === "xz" ? "xz-utils" : name}")`,
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
  if (child.exitCode !== 0) throw new ExpandError(`its compression by ${name} is damaged`);
}
