import { defined } from "../../lib/objects";
import { BLOCK, type ByteString, type EntryKind, KINDS, type TarEntry } from "./tar-header";

/** What a written entry consists of, apart from its data. */
export type WrittenEntry = Omit<TarEntry, "device">;

/** The largest values of a header's octal fields of 8 and 12 bytes. */
const MOST_ID = 0o7777777;
const MOST_SIZE = 0o77777777777;
/** The bytes of a header's fields for a name and a link's target. */
const NAME_BYTES = 100;

const FLAGS = new Map<EntryKind, string>(
  Object.entries(KINDS).flatMap(([flag, kind]) => (flag === "7" || flag === "S" ? [] : [[kind, flag]])),
);

/**
 * The blocks before an entry's data: its header, and an extended header with what does not fit (POSIX 1003.1, pax(1)). The same entry
 * always gives the same bytes; user and group have no names.
 */
export function entryHeader(entry: WrittenEntry): Buffer {
  const { name, link, uid, gid, size, mtime, xattrs, kind } = entry;
  const whole = Number.isSafeInteger(mtime) && mtime >= 0 && mtime <= MOST_SIZE;
  const extended = defined({
    path: name.length > NAME_BYTES ? name : undefined,
    linkpath: link.length > NAME_BYTES ? link : undefined,
    uid: uid > MOST_ID ? String(uid) : undefined,
    gid: gid > MOST_ID ? String(gid) : undefined,
    size: size > MOST_SIZE ? String(size) : undefined,
    mtime: whole ? undefined : String(mtime),
  });
  const records = [
    ...Object.entries(extended).map(([key, value]): [string, Buffer] => [key, Buffer.from(value ?? "", "latin1")]),
    ...[...xattrs]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, value]): [string, Buffer] => [`SCHILY.xattr.${key}`, value]),
  ];
  const own = block({ ...entry, mtime: whole ? mtime : 0 }, FLAGS.get(kind) ?? "0");
  if (records.length === 0) return own;
  const data = Buffer.concat(records.map(([key, value]) => record(key, value)));
  const about = {
    ...entry,
    name: "PaxHeaders/entry",
    link: "",
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
    size: data.length,
  };
  return Buffer.concat([block(about, "x"), data, padding(data.length), own]);
}

/** The zeros after an entry's data, which fills whole blocks. @param size bytes of the data */
export function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** The end of an archive. */
export function archiveEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}

function block(entry: WrittenEntry, flag: string): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, most: number, at: number, length: number) =>
    header.write((value > most ? 0 : value).toString(8).padStart(length - 1, "0"), at, "latin1");
  const text = (value: ByteString, at: number) => header.write(value.slice(0, NAME_BYTES), at, "latin1");
  text(entry.name, 0);
  octal(entry.mode, MOST_ID, 100, 8);
  octal(entry.uid, MOST_ID, 108, 8);
  octal(entry.gid, MOST_ID, 116, 8);
  octal(entry.size, MOST_SIZE, 124, 12);
  octal(entry.mtime, MOST_SIZE, 136, 12);
  header.write(flag, 156, "latin1");
  text(entry.link, 157);
  header.write("ustar\x0000", 257, "latin1");
  octal(0, 0, 329, 8);
  octal(0, 0, 337, 8);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

/** "LENGTH KEYWORD=VALUE\n"; the length includes its own digits. */
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}
