import type { ByteString } from "./tar-header";

/** The types of entries in an archive. */
export type EntryKind = "file" | "directory" | "symlink" | "hard link" | "fifo" | "character device" | "block device";

/** An entry of an archive; names are as written and not checked. */
export interface TarEntry {
  readonly kind: EntryKind;
  readonly name: ByteString;
  readonly link: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** Size of the file, including the holes of a sparse one. */
  readonly size: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Numbers of a device. */
  readonly device: { readonly major: number; readonly minor: number };
}

/** Receives an archive's entries, in order. */
export interface TarSink {
  /** An entry begins; only a file has data. */
  begin(entry: TarEntry): void;
  /** Data of the current file; ranges that no call writes are holes. */
  data(bytes: Buffer, position: number): void;
  /** All data of the entry was passed. */
  end(): void;
}

/** Types by type flag. */
export const KINDS: Readonly<Record<string, EntryKind>> = {
  "0": "file",
  "1": "hard link",
  "2": "symlink",
  "3": "character device",
  "4": "block device",
  "5": "directory",
  "6": "fifo",
  "7": "file",
  S: "file",
};
