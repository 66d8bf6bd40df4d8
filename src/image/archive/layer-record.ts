import type { ByteString, EntryKind } from "./tar-header";

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
  /** The target of a link. */
  readonly link?: ByteString;
}
