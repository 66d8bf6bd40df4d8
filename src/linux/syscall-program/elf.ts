/** Permissions of a segment (elf(5), PF_*). */
export const READ = 4;
export const WRITE = 2;
export const EXECUTE = 1;

const PAGE = 0x1000;
const FILE_HEADER = 64;
const PROGRAM_HEADER = 56;

/** A segment of an executable that is loaded into memory. */
interface Segment {
  readonly address: number;
  readonly content: Uint8Array;
  readonly flags: number;
}

/** A static executable for x86-64, without sections (elf(5)). */
export function executable(entry: number, segments: readonly Segment[]): Uint8Array {
  const offsets: number[] = [];
  let end = PAGE;
  for (const { content } of segments) {
    offsets.push(end);
    end = (end + content.length + PAGE - 1) & ~(PAGE - 1);
  }
  const file = new Uint8Array(end);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // 64 bits, little-endian, version 1
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, BigInt(FILE_HEADER), true); // program headers
  view.setUint16(52, FILE_HEADER, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, segments.length, true);
  for (const [index, { address, content, flags }] of segments.entries()) {
    const at = FILE_HEADER + index * PROGRAM_HEADER;
    const offset = offsets[index] ?? 0;
    view.setUint32(at, 1, true); // PT_LOAD
    view.setUint32(at + 4, flags, true);
    for (const [position, value] of [offset, address, address, content.length, content.length, PAGE].entries()) {
      view.setBigUint64(at + 8 + position * 8, BigInt(value), true);
    }
    file.set(content, offset);
  }
  return file;
}
