import { UnpackError } from "../../lib/errors";

/** A tar archive consists of blocks of this size. */
export const BLOCK = 512;

/** Names are bytes; they are kept as strings with one character per byte ("latin1"), which can hold any bytes. */
export type ByteString = string;

/** One header block, as written. */
export interface TarHeader {
  readonly name: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of data that follow. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** The type flag as a character; "\0" is "0", a regular file. */
  readonly type: string;
  readonly link: ByteString;
  readonly device: { readonly major: number; readonly minor: number };
  /** GNU's own format, which has other fields in place of ustar's prefix. */
  readonly gnu: boolean;
}

/**
 * Parses a header block (POSIX 1003.1 pax(1), "ustar Interchange Format", and GNU tar's manual, "Basic Tar Format").
 *
 * @returns undefined for a block of zeros, which ends the archive
 * @throws UnpackError for an invalid header
 */
export function parseHeader(block: Buffer): TarHeader | undefined {
  if (!checksumFits(block)) {
    if (block.every((byte) => byte === 0)) return undefined;
    throw new UnpackError("it is not a tar archive, or is damaged (a header's checksum is wrong)");
  }
  const magic = block.toString("latin1", 257, 263);
  const gnu = magic === "ustar ";
  const prefix = magic === "ustar\0" ? textAt(block, 345, 155) : "";
  const name = textAt(block, 0, 100);
  const type = block.toString("latin1", 156, 157);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: numberAt(block, 100, 8) & 0o7777,
    uid: numberAt(block, 108, 8),
    gid: numberAt(block, 116, 8),
    size: numberAt(block, 124, 12),
    mtime: numberAt(block, 136, 12, true),
    type: type === "\0" ? "0" : type,
    link: textAt(block, 157, 100),
    device: magic.startsWith("ustar")
      ? { major: numberAt(block, 329, 8), minor: numberAt(block, 337, 8) }
      : { major: 0, minor: 0 },
    gnu,
  };
}

/** Text up to its NUL, or filling its field. */
export function textAt(block: Buffer, offset: number, length: number): ByteString {
  const end = block.indexOf(0, offset);
  return block.toString("latin1", offset, end < 0 || end > offset + length ? offset + length : end);
}

/**
 * A number of a header: octal digits, or big-endian binary if the first bit is set (GNU's extension for large ones).
 *
 * @throws UnpackError for anything else, and for a number that JavaScript cannot represent exactly
 */
export function numberAt(block: Buffer, offset: number, length: number, negative = false): number {
  const first = block[offset] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = BigInt(first & 0x7f);
    for (let at = offset + 1; at < offset + length; at += 1) value = (value << 8n) | BigInt(block[at] ?? 0);
    const signed = BigInt.asIntN(length * 8 - 1, value);
    if ((signed < 0n && !negative) || signed > BigInt(Number.MAX_SAFE_INTEGER) || signed < -(2n ** 53n)) {
      throw new UnpackError("a header has a number out of range");
    }
    return Number(signed);
  }
  const usual = digitsAt(block, offset, offset + length);
  if (usual !== undefined) return usual;
  const text = block
    .toString("latin1", offset, offset + length)
    .replace(/[\0 ]+$/, "")
    .replace(/^ +/, "");
  const end = text.indexOf("\0");
  const digits = end < 0 ? text : text.slice(0, end);
  if (digits === "") return 0;
  if (!/^-?[0-7]+$/.test(digits)) throw new UnpackError("a header has an invalid number");
  const value = Number.parseInt(digits, 8);
  if ((value < 0 && !negative) || !Number.isSafeInteger(value)) {
    throw new UnpackError("a header has a number out of range");
  }
  return value;
}

/** Octal digits that a NUL ends, or the field; undefined for anything else. Without a text: there may be a million of them. */
function digitsAt(block: Buffer, offset: number, end: number): number | undefined {
  let value = 0;
  for (let at = offset; at < end; at += 1) {
    const byte = block[at] ?? 0;
    if (byte === 0 && at > offset) break;
    if (byte < 0x30 || byte > 0x37) return undefined;
    value = value * 8 + byte - 0x30;
  }
  return Number.isSafeInteger(value) ? value : undefined;
}

/** The sum of all bytes, with its own field taken as spaces; old programs summed signed bytes. */
function checksumFits(block: Buffer): boolean {
  const text = block.toString("latin1", 148, 156).replace(/\0.*$/s, "").trim();
  if (!/^[0-7]+$/.test(text)) return false;
  const written = Number.parseInt(text, 8);
  const { buffer, byteOffset } = block.byteOffset % 4 === 0 ? block : Uint8Array.from(block);
  const words = new Int32Array(buffer, byteOffset, BLOCK / 4);
  const others = sumOfBytes(words, 0, 148) + sumOfBytes(words, 156, BLOCK) + 8 * 32;
  return written === others || written === others - 256 * negativeBytes(block);
}

/** From one multiple of four to another, four bytes at a time in two sums of 16 bits: a layer may have a hundred thousand headers. */
function sumOfBytes(words: Int32Array, start: number, end: number): number {
  let sums = 0;
  for (let at = start / 4; at < end / 4; at += 1) {
    const word = words[at] ?? 0;
    sums += (word & 0x00ff_00ff) + ((word >>> 8) & 0x00ff_00ff);
  }
  return (sums & 0xffff) + (sums >>> 16);
}

/** How many bytes outside of the checksum are negative if they are taken as signed. */
function negativeBytes(block: Buffer): number {
  let count = 0;
  for (let at = 0; at < BLOCK; at += 1) {
    if (at < 148 || at >= 156) count += (block[at] ?? 0) >>> 7;
  }
  return count;
}

export type EntryKind = "file" | "directory" | "symlink" | "hard link" | "fifo" | "character device" | "block device";

/** An entry of an archive; names are as written and not checked. */
export interface TarEntry {
  readonly kind: EntryKind;
  readonly name: ByteString;
  readonly link: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** Size of the file, including the holes of a sparse one. */
  readonly size: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Numbers of a device. */
  readonly device: { readonly major: number; readonly minor: number };
}

/** Receives an archive's entries, in order. */
export interface TarSink {
  /** An entry begins; only a file has data. */
  begin(entry: TarEntry): void;
  /** Data of the current file; ranges that no call writes are holes. */
  data(bytes: Buffer, position: number): void;
  /** All data of the entry was passed. */
  end(): void;
}

/** Types by type flag. */
export const KINDS: Readonly<Record<string, EntryKind>> = {
  "0": "file",
  "1": "hard link",
  "2": "symlink",
  "3": "character device",
  "4": "block device",
  "5": "directory",
  "6": "fifo",
  "7": "file",
  S: "file",
};
