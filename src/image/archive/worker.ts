import { createHash } from "node:crypto";
import { openSync, readSync, statfsSync, writeSync } from "node:fs";
import { gcThrottle } from "../../lib/buffers";
import { errnoCode, errorText, UnpackError } from "../../lib/errors";
import { loadLibc } from "../../linux/ffi";
import { enterRoot, syncFileSystem } from "../../linux/files";
import { unreadBytes } from "../../linux/pipe";
import { keepCapabilities } from "../../linux/proc";
import { compressionOf, decompressor, MAGIC_BYTES, TrailingGarbageError } from "../compression/decompress";
import { type ArchiveKind, Extractor, type Recorder } from "./extractor";
import type { LayerRecord, UnpackReport } from "./report";
import type { ByteString } from "./tar-header";
import { TarReader } from "./tar-reader";

interface Unpacked {
  /** Digest of the uncompressed archive: "sha256:…". */
  readonly diffId: string;
  /** Bytes of the uncompressed archive. */
  readonly bytes: number;
  readonly entries: number;
  /** Device nodes that were left out. */
  readonly devices: number;
  /** Directories that have no entry of their own. */
  readonly implied: readonly ByteString[];
}

interface UnpackOptions {
  /** A layer if absent. */
  readonly kind?: ArchiveKind;
  /** Whether to protect the files by fs-verity, where the file system has it. */
  readonly verity: boolean;
  readonly algorithm: "sha256" | "sha512";
  readonly record: Recorder;
  /** Called with the uncompressed bytes so far, before the first and periodically; throws to cancel. */
  readonly check: (bytes: number) => void;
}

/**
 * MiB of output between two garbage collections. The data itself is always in the same buffers; what is collected are the objects per entry
 * and per piece.
 */
const COLLECT_MIB = 64;

/** Uncompressed bytes between two checks. */
const CHECK_EVERY = 32 * 1024 * 1024;

/** Bytes that are read at once; there are two such buffers. */
const INPUT = 256 * 1024;

/** Where the archive comes from. */
interface Source {
  /** Reads into a buffer; waits for at least one byte. @returns how many were read, 0 at the end */
  readonly read: (buffer: Buffer) => number;
  /** Whether there is something to read; also false at the end. */
  readonly hasMore: () => boolean;
}

/**
 * Unpacks a compressed or plain archive into the root directory of this process. While a thread decompresses, this one reads further input
 * and writes files.
 *
 * @throws UnpackError, and errors of the file system
 */
async function unpackStream({ read, hasMore }: Source, options: UnpackOptions): Promise<Unpacked> {
  const hash = createHash(options.algorithm);
  const extractor = new Extractor(options.record, options.kind, options.verity);
  const reader = new TarReader(extractor);
  let bytes = 0;
  let next = CHECK_EVERY;
  const passed = gcThrottle(COLLECT_MIB);
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
    let [input, other] = [Buffer.allocUnsafeSlow(INPUT), Buffer.allocUnsafeSlow(INPUT)];
    let length = readStart(read, input);
    const target = decompressor(compressionOf(input.subarray(0, length)), take);
    let work = Promise.resolve();
    while (length > 0) {
      await work;
      work = target.write(input.subarray(0, length));
      [input, other] = [other, input];
      if (!hasMore()) {
        // Everything that has arrived is written before this waits for more.
        await work;
        target.flush();
      }
      length = read(input);
    }
    await work;
    await target.end();
    reader.finish();
    extractor.finish();
    const { entries, devices, implied } = extractor;
    return { diffId: `${options.algorithm}:${hash.digest("hex")}`, bytes, entries, devices, implied };
  } finally {
    extractor.close();
  }
}

/** Reads as many bytes as the type of the content needs, if there are so many. */
function readStart(read: Source["read"], buffer: Buffer): number {
  let length = 0;
  for (let more = -1; more !== 0 && length < MAGIC_BYTES; length += more) more = read(buffer.subarray(length));
  return length;
}

/** Descriptors besides the standard ones. */
const LIST_FD = 3;

/**
 * Numbers of the capabilities that unpacking needs (capabilities(7)): CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN (for
 * overlayfs's trusted.* attributes), MKNOD and SETFCAP.
 */
const CAPABILITIES = [0, 1, 3, 4, 21, 27, 31];
const STDIN = 0;
const STANDARD_INPUT: Source = {
  read: (buffer) => readSync(STDIN, buffer),
  hasMore: () => unreadBytes(STDIN) > 0,
};
const STDOUT = 1;
const LIST_BUFFER = 64 * 1024;

/**
 * The main function of an unpacking process: reads a layer from standard input and unpacks it into a directory, which becomes its root
 * before the first byte is read, so that nothing in an archive can lead out of it. The result goes to standard output, the list
 * of files to descriptor 3.
 *
 * @param args the directory, the digest's algorithm, the bytes to keep free on the disk, the kind of archive, the bytes that it may
 *   have at most, and "verity" for files that fs-verity protects
 * @returns exit code of this process
 */
export async function unpackMain(args: readonly string[]): Promise<number> {
  const [directory = "", algorithm = "sha256", free = "0", kind = "layer", most = "Infinity", verity = ""] = args;
  const send = (report: UnpackReport) => void writeSync(STDOUT, `${JSON.stringify(report)}\n`);
  // The plugin decides when this ends: by closing standard input, or by SIGKILL.
  for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
  try {
    loadLibc();
    process.umask(0o022);
    enterRoot(directory);
    keepCapabilities(CAPABILITIES);
    const list = listWriter();
    const unpacked = await unpackStream(STANDARD_INPUT, {
      algorithm: algorithm === "sha512" ? "sha512" : "sha256",
      kind: kind === "tree" ? "tree" : "layer",
      verity: verity === "verity",
      record: list.add,
      check: (bytes) => {
        refuseFullDisk(Number(free));
        if (bytes > Number(most)) throw new TooLargeError(String(bytes));
      },
    });
    list.flush();
    send({ kind: "unpacked", ...unpacked });
    return 0;
  } catch (error) {
    send(failureOf(error));
    return 1;
  }
}

/**
 * Syncs a directory's file system to its disk, which may take seconds and blocks the whole process.
 *
 * @returns exit code of this process
 */
export function syncMain([directory = "/"]: readonly string[]): number {
  syncFileSystem(openSync(directory, "r"));
  return 0;
}

function failureOf(error: unknown): UnpackReport {
  const message = errorText(error);
  if (error instanceof TrailingGarbageError) return { kind: "failed", why: "trailing garbage", message };
  if (error instanceof UnpackError) return { kind: "failed", why: "archive", message };
  if (error instanceof TooLargeError) return { kind: "failed", why: "too large", message };
  const code = errnoCode(error);
  if (code === "ENOSPC" || code === "EDQUOT" || error instanceof DiskFullError) {
    return { kind: "failed", why: "disk full", message };
  }
  return { kind: "failed", why: "system", message };
}

class DiskFullError extends Error {
  override readonly name = "DiskFullError";
}

/** The message is the number of bytes that were unpacked. */
class TooLargeError extends Error {
  override readonly name = "TooLargeError";
}

function refuseFullDisk(least: number): void {
  if (least === 0) return;
  const { bavail, bsize } = statfsSync("/");
  if (bavail * bsize < least)
    throw new DiskFullError("the disk would have less free space than gc.image_min_free requires");
}

/** Lines are buffered: there may be a hundred thousand. */
function listWriter(): { readonly add: (record: LayerRecord) => void; readonly flush: () => void } {
  let text = "";
  const flush = () => {
    for (let bytes = Buffer.from(text); bytes.length > 0; ) bytes = bytes.subarray(writeSync(LIST_FD, bytes));
    text = "";
  };
  return {
    add: (record) => {
      text += `${JSON.stringify(record)}\n`;
      if (text.length > LIST_BUFFER) flush();
    },
    flush,
  };
}
