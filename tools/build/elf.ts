/** An executable's requirements, read from its ELF headers (System V gABI, x86-64 psABI). */

/** Requirements of a dynamically linked executable. */
export interface ElfNeeds {
  /** The dynamic loader's path. */
  readonly interpreter: string;
  /** Shared libraries, DT_NEEDED, in file order. */
  readonly libraries: readonly string[];
  /** Symbol versions such as "GLIBC_2.17", sorted, without duplicates. */
  readonly versions: readonly string[];
}

const programHeader = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tag = { needed: 1n, stringTable: 5n, versionNeeds: 0x6ffffffen, versionNeedCount: 0x6fffffffn } as const;

/**
 * Reads an executable's requirements.
 *
 * @throws Error if the bytes are not a 64-bit little-endian, dynamically linked ELF file
 */
export function elfNeeds(bytes: Uint8Array): ElfNeeds {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < 64 || view.getUint32(0) !== 0x7f454c46 || view.getUint16(4) !== 0x0201) {
    throw new Error("The file is not a 64-bit little-endian ELF executable.");
  }
  const segments = Array.from({ length: view.getUint16(56, true) }, (_, index) => {
    const at = Number(view.getBigUint64(32, true)) + index * view.getUint16(54, true);
    return {
      type: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: Number(view.getBigUint64(at + 16, true)),
      size: Number(view.getBigUint64(at + 32, true)),
    };
  });
  const offsetOf = (address: number): number => {
    const segment = segments.find(
      ({ type, address: start, size }) => type === programHeader.load && address >= start && address < start + size,
    );
    if (segment === undefined) throw new Error(`No segment of the file holds the address 0x${address.toString(16)}.`);
    return segment.offset + address - segment.address;
  };
  const interpreter = segments.find(({ type }) => type === programHeader.interpreter);
  const dynamic = segments.find(({ type }) => type === programHeader.dynamic);
  if (interpreter === undefined || dynamic === undefined) throw new Error("The file is not linked dynamically.");
  const entries = Array.from({ length: dynamic.size / 16 }, (_, index) => ({
    tag: view.getBigUint64(dynamic.offset + index * 16, true),
    value: Number(view.getBigUint64(dynamic.offset + index * 16 + 8, true)),
  }));
  const valueWith = (wanted: bigint) => entries.find((entry) => entry.tag === wanted)?.value;
  const strings = offsetOf(valueWith(tag.stringTable) ?? 0);
  const needs = valueWith(tag.versionNeeds);
  const versions = needs === undefined ? [] : versionNames(view, offsetOf(needs), valueWith(tag.versionNeedCount) ?? 0);
  return {
    interpreter: text(bytes, interpreter.offset),
    libraries: entries.filter((entry) => entry.tag === tag.needed).map(({ value }) => text(bytes, strings + value)),
    versions: [...new Set(versions.map((offset) => text(bytes, strings + offset)))].sort(compareVersions),
  };
}

/** Newest version of a family of symbol versions: `newest(["GLIBC_2.3", "GLIBC_2.17"], "GLIBC")` is "2.17". */
export function newestVersion(versions: readonly string[], family: string): string | undefined {
  const prefix = `${family}_`;
  return versions
    .filter((version) => version.startsWith(prefix))
    .sort(compareVersions)
    .at(-1)
    ?.slice(prefix.length);
}

/** Orders names that end in dotted numbers by those numbers. */
export function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** Walks the Elf64_Verneed list and returns the string table offset of every version's name. */
function versionNames(view: DataView, start: number, count: number): number[] {
  const names: number[] = [];
  let need = start;
  for (let index = 0; index < count; index += 1) {
    let version = need + view.getUint32(need + 8, true);
    for (let rest = view.getUint16(need + 2, true); rest > 0; rest -= 1) {
      names.push(view.getUint32(version + 8, true));
      version += view.getUint32(version + 12, true);
    }
    need += view.getUint32(need + 12, true);
  }
  return names;
}

function text(bytes: Uint8Array, start: number): string {
  return new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));
}
