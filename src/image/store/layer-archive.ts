import { type BigIntStats, closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { StoreError } from "../../lib/errors";
import { OVERLAY_OPAQUE } from "../../linux/constants";
import { attributeNames, getAttribute } from "../../linux/files";
import { attributeIsSet, native } from "../archive/names";
import type { ByteString, EntryKind } from "../archive/tar-header";
import { archiveEnd, entryHeader, padding } from "../archive/tar-writer";

/** A layer as it is in the store. */
interface StoredTree {
  /** The directory with its files. */
  readonly files: string;
  /** Directories without an entry of their own: their owner and mode mean nothing, and they get no entry. */
  readonly implied: readonly ByteString[];
}

const READ_BYTES = 1024 * 1024;
const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** Mode and owner of a layer's top directory that no entry describes. */
const PLAIN_MODE = 0o755;

/**
 * An unpacked layer as a tar archive (OCI image spec, layer.md): what the layer removes becomes whiteouts again. The archive that the layer
 * was unpacked from is not kept, so this one has another digest; but a layer always gives the same bytes. Entries are sorted by name,
 * holes of sparse files are zeros.
 *
 * @throws StoreError if a file changes meanwhile
 */
export function* layerArchive({ files, implied }: StoredTree): Generator<Buffer> {
  const walk = {
    top: Buffer.from(files).toString("latin1"),
    implied: new Set(implied),
    links: new Map<string, ByteString>(),
  };
  const root = lstatSync(files, { bigint: true });
  // An archive's own entry has whole seconds; otherwise it is when the layer was unpacked, which means nothing.
  const described = root.mtimeNs % 1_000_000_000n === 0n;
  if (described || root.uid !== 0n || root.gid !== 0n || permissions(root) !== PLAIN_MODE) {
    const its = times(root);
    yield header(walk, "", { kind: "directory", name: "./" }, described ? its : { ...its, mtime: 0 });
  }
  if (isOpaque(files)) yield marker(OPAQUE);
  yield* entriesBelow(walk, "");
  yield archiveEnd();
}

interface Walk {
  readonly top: ByteString;
  readonly implied: ReadonlySet<ByteString>;
  /** The first name of each file that has several, by its inode. */
  readonly links: Map<string, ByteString>;
}

function* entriesBelow(walk: Walk, directory: ByteString): Generator<Buffer> {
  const names = readdirSync(native(`${walk.top}${directory}`), { encoding: "latin1" });
  for (const name of names.toSorted()) yield* entry(walk, directory, name);
}

function* entry(walk: Walk, directory: ByteString, base: ByteString): Generator<Buffer> {
  const path = `${directory}/${base}`;
  const place = native(`${walk.top}${path}`);
  const stats = lstatSync(place, { bigint: true });
  const name = path.slice(1);
  if (stats.isDirectory()) {
    if (!walk.implied.has(path)) yield header(walk, path, { kind: "directory", name: `${name}/` }, times(stats));
    if (isOpaque(place)) yield marker(`${name}/${OPAQUE}`);
    yield* entriesBelow(walk, path);
    return;
  }
  if (stats.isCharacterDevice() && stats.rdev === 0n) {
    yield marker(`${directory.slice(1)}${directory === "" ? "" : "/"}${WHITEOUT}${base}`);
    return;
  }
  if (stats.isSocket() || stats.isCharacterDevice() || stats.isBlockDevice()) return;
  const first = stats.nlink > 1n ? firstName(walk, stats, name) : undefined;
  if (first !== undefined) {
    yield header(walk, path, { kind: "hard link", name, link: first }, times(stats));
    return;
  }
  if (stats.isSymbolicLink()) {
    const link = readlinkSync(place, { encoding: "latin1" });
    yield header(walk, path, { kind: "symlink", name, link }, times(stats));
    return;
  }
  if (stats.isFIFO()) {
    yield header(walk, path, { kind: "fifo", name }, times(stats));
    return;
  }
  const size = Number(stats.size);
  yield header(walk, path, { kind: "file", name, size }, times(stats));
  yield* content(place, size, path);
  yield padding(size);
}

function firstName({ links }: Walk, { dev, ino }: BigIntStats, name: ByteString): ByteString | undefined {
  const key = `${dev}:${ino}`;
  const first = links.get(key);
  if (first === undefined) links.set(key, name);
  return first;
}

function* content(place: string | Buffer, size: number, path: ByteString): Generator<Buffer> {
  const fd = openSync(place, "r");
  try {
    let left = size;
    while (left > 0) {
      const buffer = Buffer.allocUnsafe(Math.min(left, READ_BYTES));
      const length = readSync(fd, buffer);
      if (length === 0) {
        throw new StoreError(`The file ${path} of a stored layer has become shorter while it was read.`, {
          recoverable: true,
        });
      }
      left -= length;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}

interface Times {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
}

function times(stats: BigIntStats): Times {
  const { mtimeNs } = stats;
  // A double has the time of today to a quarter of a microsecond; most archives have whole seconds.
  return { mode: permissions(stats), uid: Number(stats.uid), gid: Number(stats.gid), mtime: Number(mtimeNs) / 1e9 };
}

function permissions({ mode }: BigIntStats): number {
  return Number(mode & 0o7777n);
}

interface Named {
  readonly kind: EntryKind;
  readonly name: ByteString;
  readonly link?: ByteString;
  readonly size?: number;
}

function header({ top }: Walk, path: ByteString, { kind, name, link = "", size = 0 }: Named, its: Times): Buffer {
  const attributes = kind === "hard link" ? new Map() : attributesOf(native(`${top}${path}`));
  return entryHeader({ kind, name, link, size, xattrs: attributes, ...its });
}

function attributesOf(place: string | Buffer): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const name of attributeNames(place).filter(attributeIsSet)) {
    const value = getAttribute(place, name);
    if (value !== undefined) found.set(name, Buffer.from(value));
  }
  return found;
}

function isOpaque(place: string | Buffer): boolean {
  return getAttribute(place, OVERLAY_OPAQUE) !== undefined;
}

/** A whiteout, as an empty file. */
function marker(name: ByteString): Buffer {
  return entryHeader({
    kind: "file",
    name,
    link: "",
    size: 0,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
    xattrs: new Map(),
  });
}
