import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { LayerRecord } from "../unpack/layer-record";
import type { ByteString } from "../unpack/tar-header";

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
  link: v.exactOptional(v.string()),
});

/** The expected properties of each path in a layer. */
export type LayerList = ReadonlyMap<ByteString, LayerRecord>;

/**
 * Reads the list that was written while a layer was unpacked.
 *
 * @returns undefined if it is missing or truncated
 */
export function readLayerList(path: string): LayerList | undefined {
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
