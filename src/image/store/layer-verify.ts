import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import * as v from "valibot";
import { native } from "../archive/names";
import type { LayerRecord } from "../archive/report";
import type { ByteString } from "../archive/tar-header";
import type { ContentVerifier } from "./content-verify";
import { layerPaths } from "./store-format";

const text = v.string();
const number = v.exactOptional(v.number());
const schema = v.object({
  path: text,
  kind: v.picklist([
    ...["file", "directory", "symlink", "hard link", "fifo", "character device", "block device"],
    ...["whiteout", "opaque", "removed"],
  ] as const),
  mode: number,
  uid: number,
  gid: number,
  size: number,
  mtime: number,
  crc: number,
  verity: v.exactOptional(v.string()),
  link: v.exactOptional(v.string()),
});

/** The expected properties of each path in a layer. */
type LayerList = ReadonlyMap<ByteString, LayerRecord>;

/**
 * Reads the list that was written while a layer was unpacked.
 *
 * @returns undefined if it is missing or truncated
 */
function readLayerList(path: string): LayerList | undefined {
  const list = new Map<ByteString, LayerRecord>();
  try {
    for (const line of readFileSync(path, "utf8").split("\n")) {
      if (line === "") continue;
      const parsed = v.safeParse(schema, JSON.parse(line));
      if (!parsed.success) return undefined;
      apply(list, parsed.output);
    }
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error)) return undefined;
    throw error;
  }
  return list;
}

function apply(list: Map<ByteString, LayerRecord>, record: LayerRecord): void {
  const { path, kind } = record;
  if (kind === "removed") {
    list.delete(path);
    for (const known of list.keys()) if (known.startsWith(`${path}/`)) list.delete(known);
    return;
  }
  // It refers to a directory that has its own record.
  if (kind === "opaque") return;
  list.set(path, record);
}

/** Wrong clocks are off by more; smaller differences are below the precision of file systems. */
const TIME_MS = 2;

/**
 * Compares an unpacked layer with the record of its unpacking: names, types, owners, modes, times, sizes, links, and the
 * content of each file without holes. It detects bit rot, crash damage and manual changes. Not changes by an attacker who
 * also rewrites the records; and neither extended attributes nor what the image should have been.
 *
 * @returns clauses without a full stop, none if everything matches
 */
export function* verifyLayer(directory: string, content: ContentVerifier): Generator<string> {
  const { files, list: path } = layerPaths(directory);
  const list = readLayerList(path);
  if (list === undefined) {
    yield `${path} is missing or damaged`;
    return;
  }
  const seen = new Set<ByteString>();
  for (const found of walk(files, "")) {
    seen.add(found.path);
    const record = list.get(found.path);
    if (record === undefined) yield `${found.path} is not part of it`;
    else {
      const problem =
        difference(files, record, found.stats) ??
        (record.kind === "file" ? content.problem(inTree(files, record.path), record) : undefined);
      if (problem !== undefined) yield `${found.path} ${problem}`;
    }
  }
  // Its root may be missing in the archive.
  for (const wanted of list.keys()) if (wanted !== "/" && !seen.has(wanted)) yield `${wanted} is missing`;
}

function* walk(top: string, path: ByteString): Generator<{ readonly path: ByteString; readonly stats: Stats }> {
  for (const name of readdirSync(inTree(top, path), { encoding: "latin1" })) {
    const here = `${path}/${name}`;
    const stats = lstatSync(inTree(top, here));
    yield { path: here, stats };
    if (stats.isDirectory()) yield* walk(top, here);
  }
}

function difference(top: string, record: LayerRecord, stats: Stats): string | undefined {
  const kind = kindOf(stats);
  if (record.kind === "hard link") {
    const other = record.link === undefined ? undefined : statEntry(top, record.link);
    return other?.ino === stats.ino ? undefined : `is not the same file as ${record.link}`;
  }
  if (kind !== record.kind) return `is a ${kind}, expected a ${record.kind}`;
  for (const [what, found, noted] of [
    ["owner", stats.uid, record.uid],
    ["group", stats.gid, record.gid],
    ["mode", kind === "symlink" ? undefined : stats.mode & 0o7777, kind === "symlink" ? undefined : record.mode],
    ["size", kind === "file" ? stats.size : undefined, kind === "file" ? record.size : undefined],
  ] as const) {
    if (noted !== undefined && found !== noted) return `has ${what} ${found}, expected ${noted}`;
  }
  if (record.mtime !== undefined && Math.abs(stats.mtimeMs - record.mtime * 1000) > TIME_MS) return "was modified";
  if (kind === "symlink" && record.link !== undefined && linkOf(top, record.path) !== record.link)
    return "has another target";
  return undefined;
}

function kindOf(stats: Stats): LayerRecord["kind"] {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "directory";
  if (stats.isSymbolicLink()) return "symlink";
  if (stats.isFIFO()) return "fifo";
  if (stats.isCharacterDevice()) return stats.rdev === 0 ? "whiteout" : "character device";
  return "block device";
}

function statEntry(top: string, path: ByteString): Stats | undefined {
  try {
    return lstatSync(inTree(top, path));
  } catch {
    return undefined;
  }
}

function linkOf(top: string, path: ByteString): string {
  return readlinkSync(inTree(top, path), { encoding: "latin1" });
}

function inTree(top: string, path: ByteString): string | Buffer {
  return native(`${Buffer.from(top).toString("latin1")}${path}`);
}
