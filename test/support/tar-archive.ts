/** Tar archives entry by entry, including malformed ones. */

/** One entry; absent fields have sensible defaults. */
export interface ArchiveEntry {
  readonly name: string;
  /** Type flag: "0" file, "1" hard link, "2" symlink, "3" and "4" devices, "5" directory, "6" FIFO, "x" extended header. */
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly link?: string;
  readonly data?: string | Uint8Array;
  /** Replaces the data's real size in the header. */
  readonly size?: number | Uint8Array;
  readonly device?: readonly [major: number, minor: number];
  /** Extended header records, written before the entry. */
  readonly pax?: Readonly<Record<string, string | Uint8Array>>;
  /** Replaces the header's correct checksum. */
  readonly checksum?: number;
}

const BLOCK = 512;

/** An archive of these entries. Without its end it is truncated after the last one. */
export function archive(entries: readonly ArchiveEntry[], { end = true }: { readonly end?: boolean } = {}): Buffer {
  const parts = entries.flatMap((entry) => {
    const pax = entry.pax === undefined ? [] : [...blocks({ name: "pax", type: "x", data: paxRecords(entry.pax) })];
    return [...pax, ...blocks(entry)];
  });
  return Buffer.concat(end ? [...parts, Buffer.alloc(2 * BLOCK)] : parts);
}

/** A directory. */
export function directory(name: string, more: Partial<ArchiveEntry> = {}): ArchiveEntry {
  return { name, type: "5", mode: 0o755, ...more };
}

/** A file. */
export function file(name: string, data = "", more: Partial<ArchiveEntry> = {}): ArchiveEntry {
  return { name, data, ...more };
}

/** A symbolic link. */
export function symlink(name: string, link: string): ArchiveEntry {
  return { name, type: "2", link, mode: 0o777 };
}

function* blocks(entry: ArchiveEntry): Generator<Buffer> {
  const data = Buffer.from(entry.data ?? "");
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  header.write(entry.name.slice(0, 100), 0, "latin1");
  octal(entry.mode ?? 0o644, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  const { size = data.length } = entry;
  if (typeof size === "number") octal(size, 124, 12);
  else header.set(size, 124);
  octal(entry.mtime ?? 1_700_000_000, 136, 12);
  header.write(entry.type ?? "0", 156, "latin1");
  header.write((entry.link ?? "").slice(0, 100), 157, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  const [major, minor] = entry.device ?? [0, 0];
  octal(major, 329, 8);
  octal(minor, 337, 8);
  header.fill(0x20, 148, 156);
  const sum = entry.checksum ?? header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  yield header;
  yield data;
  yield Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK);
}

/** "LENGTH KEYWORD=VALUE\n", where the length counts its own digits. */
export function paxRecords(records: Readonly<Record<string, string | Uint8Array>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}

/** A header block of an entry, changed by hand, with its checksum corrected afterwards. */
export function headerBlock(entry: ArchiveEntry, change: (header: Buffer) => void = () => {}): Buffer {
  const header = archive([entry]).subarray(0, BLOCK);
  change(header);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}
