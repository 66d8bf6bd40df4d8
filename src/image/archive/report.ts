import * as v from "valibot";
import { parseJson } from "../../lib/objects";
import type { ByteString, EntryKind } from "./tar-header";

/** The messages of an unpacking process, one JSON object per line. */
const schema = v.variant("kind", [
  v.object({
    kind: v.literal("unpacked"),
    diffId: v.string(),
    bytes: v.number(),
    entries: v.number(),
    devices: v.number(),
    implied: v.pipe(v.array(v.string()), v.readonly()),
  }),
  v.object({
    kind: v.literal("failed"),
    why: v.picklist(["archive", "trailing garbage", "disk full", "too large", "system"]),
    message: v.string(),
  }),
]);

export type UnpackReport = v.InferOutput<typeof schema>;

/** Parses a line; undefined for any other line. */
export function parseReport(line: string): UnpackReport | undefined {
  const parsed = v.safeParse(schema, parseJson(line));
  return parsed.success ? parsed.output : undefined;
}

/**
 * One line of the list that is written while a layer is unpacked. A later line for a path replaces an earlier one; "removed"
 * also removes everything below.
 */
export interface LayerRecord {
  readonly path: ByteString;
  readonly kind: EntryKind | "whiteout" | "opaque" | "removed";
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  /** Seconds since the epoch. */
  readonly mtime?: number;
  /** CRC-32 of a file's data; not for a sparse file. */
  readonly crc?: number;
  /** The digest that fs-verity has of a file that it protects. */
  readonly verity?: string;
  readonly link?: ByteString;
}
