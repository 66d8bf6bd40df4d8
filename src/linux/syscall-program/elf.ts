import type { Cpu } from "../cpu/cpu";

/** Permissions of a segment (elf(5), PF_*). */
export const READ = 4;
export const WRITE = 2;
export const EXECUTE = 1;

const FILE_HEADER = 64;
const PROGRAM_HEADER = 56;

/** A segment of an executable that is loaded into memory. */
interface Segment {
  readonly address: number;
  readonly content: Uint8Array;
  readonly flags: number;
}

/**
 * A static executable without sections (elf(5)). Its entry point is the beginning of the last segment.
 *
 * @param segments in the file's order; where the last one begins in its page is decided here
 */
export function executable({ machine, page }: Pick<Cpu, "machine" | "page">, segments: readonly Segment[]): Uint8Array {
  const placed: (Segment & { readonly offset: number })[] = [];
  let end = FILE_HEADER + segments.length * PROGRAM_HEADER;
  let entry = 0;
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    // The kernel maps whole pages: an address and its place in the file have the same place in their pages.
    const address = last ? segment.address + (end % page) : segment.address;
    const offset = end + ((((address - end) % page) + page) % page);
    placed.push({ ...segment, address, offset });
    end = offset + segment.content.length;
    entry = address;
  }
  const file = new Uint8Array(end);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // 64 bits, little-endian, version 1
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, BigInt(FILE_HEADER), true); // program headers
  view.setUint16(52, FILE_HEADER, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, segments.length, true);
  for (const [index, { address, content, flags, offset }] of placed.entries()) {
    const at = FILE_HEADER + index * PROGRAM_HEADER;
    view.setUint32(at, 1, true); // PT_LOAD
    view.setUint32(at + 4, flags, true);
    for (const [position, value] of [offset, address, address, content.length, content.length, page].entries()) {
      view.setBigUint64(at + 8 + position * 8, BigInt(value), true);
    }
    file.set(content, offset);
  }
  return file;
}
