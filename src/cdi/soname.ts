import { closeSync, constants, openSync, readSync } from "node:fs";

/** ELF of 64 bits, least byte first (elf(5)): the start of the file, positions in its header, and sizes. */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
const HEADER = { size: 64, programs: 32, programSize: 54, programCount: 56 } as const;
const PROGRAM = { size: 56, type: 0, offset: 8, address: 16, fileSize: 32 } as const;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DYNAMIC_SIZE = 16;
const DT_STRTAB = 5n;
const DT_SONAME = 14n;
/** Far more than a library has. */
const MOST_PROGRAMS = 128;
const MOST_DYNAMIC = 64 * 1024;
const MOST_NAME = 256;

/** Bytes of a file at a position; fewer at its end. */
type Read = (position: number, length: number) => Buffer;

/**
 * The name by which programs look for a library: its SONAME, which ldconfig(8) makes a link of.
 *
 * @returns undefined if it is no such library, has no name, or cannot be read
 */
export function readSoname(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    return sonameOf((position, length) => {
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(fd, buffer, 0, length, position));
    });
  } catch {
    // A truncated or wrong file: positions in it lead nowhere.
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** @throws RangeError for positions outside of the file */
function sonameOf(read: Read): string | undefined {
  const header = read(0, HEADER.size);
  if (!header.subarray(0, MAGIC.length).equals(MAGIC) || header.readUInt16LE(HEADER.programSize) !== PROGRAM.size)
    return undefined;
  const count = Math.min(header.readUInt16LE(HEADER.programCount), MOST_PROGRAMS);
  const table = read(Number(header.readBigUInt64LE(HEADER.programs)), count * PROGRAM.size);
  const programs = Array.from({ length: count }, (_, index) => {
    const at = index * PROGRAM.size;
    const word = (offset: number) => Number(table.readBigUInt64LE(at + offset));
    const type = table.readUInt32LE(at + PROGRAM.type);
    return { type, offset: word(PROGRAM.offset), address: word(PROGRAM.address), size: word(PROGRAM.fileSize) };
  });
  const dynamic = programs.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return undefined;
  const entries = read(dynamic.offset, Math.min(dynamic.size, MOST_DYNAMIC));
  const entryOf = (tag: bigint) => {
    for (let at = 0; at + DYNAMIC_SIZE <= entries.length; at += DYNAMIC_SIZE) {
      if (entries.readBigInt64LE(at) === tag) return Number(entries.readBigUInt64LE(at + 8));
    }
    return undefined;
  };
  const [strings, name] = [entryOf(DT_STRTAB), entryOf(DT_SONAME)];
  if (strings === undefined || name === undefined) return undefined;
  const place = programs.find(
    ({ type, address, size }) => type === PT_LOAD && strings >= address && strings < address + size,
  );
  if (place === undefined) return undefined;
  const text = read(place.offset + strings - place.address + name, MOST_NAME);
  const end = text.indexOf(0);
  const soname = text.toString("latin1", 0, Math.max(end, 0));
  return /^[^/]+$/.test(soname) ? soname : undefined;
}
