import { createHash } from "node:crypto";
import { garbageCollector } from "../../host/memory";
import { compressionOf, type Decompressor, decompressor, MAGIC_BYTES } from "./decompress";
import { type ArchiveKind, Extractor, type Recorder } from "./extractor";
import { TarReader } from "./tar-reader";

/** The properties of an unpacked layer. */
export interface Unpacked {
  /** Digest of the uncompressed archive: "sha256:…". */
  readonly diffId: string;
  /** Bytes of the uncompressed archive. */
  readonly bytes: number;
  readonly entries: number;
}

/** How to unpack an archive. */
export interface UnpackOptions {
  /** A layer if absent. */
  readonly kind?: ArchiveKind;
  /** Algorithm of the digest. */
  readonly algorithm: "sha256" | "sha512";
  /** Called for each written entry. */
  readonly record: Recorder;
  /** Called with the uncompressed bytes so far, before the first and periodically; throws to cancel. */
  readonly check: (bytes: number) => void;
}

/** MiB of output between two garbage collections. */
const COLLECT_MIB = 1;
/** Uncompressed bytes between two checks. */
const CHECK_EVERY = 32 * 1024 * 1024;

/**
 * Unpacks a compressed or plain archive into the root directory of this process.
 *
 * @throws UnpackError, and errors of the file system
 */
export async function unpackStream(source: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<Unpacked> {
  const hash = createHash(options.algorithm);
  const extractor = new Extractor(options.record, options.kind);
  const reader = new TarReader(extractor);
  let bytes = 0;
  let next = CHECK_EVERY;
  const passed = garbageCollector(COLLECT_MIB);
  const take = (chunk: Buffer) => {
    hash.update(chunk);
    reader.push(chunk);
    bytes += chunk.length;
    passed(chunk.length);
    if (bytes < next) return;
    next = bytes + CHECK_EVERY;
    options.check(bytes);
  };
  try {
    options.check(bytes);
    let start: Buffer = Buffer.alloc(0);
    let target: Decompressor | undefined;
    for await (const chunk of source) {
      if (target !== undefined) {
        await target.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
        continue;
      }
      start = Buffer.concat([start, chunk]);
      if (start.length < MAGIC_BYTES) continue;
      target = decompressor(compressionOf(start), take);
      await target.write(start);
    }
    target ??= decompressor("none", take);
    await target.end();
    reader.finish();
    extractor.finish();
    return { diffId: `${options.algorithm}:${hash.digest("hex")}`, bytes, entries: extractor.entries };
  } finally {
    extractor.close();
  }
}
