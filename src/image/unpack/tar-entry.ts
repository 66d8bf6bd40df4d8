import type { ByteString } from "./tar-header";

/** What an archive has in it. */
export type EntryKind = "file" | "directory" | "symlink" | "hard link" | "fifo" | "character device" | "block device";

/** One entry of an archive; names are as written, nothing of them is checked. */
export interface TarEntry {
  readonly kind: EntryKind;
  readonly name: ByteString;
  readonly link: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** Bytes of the file, holes of a sparse one included. */
  readonly size: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Numbers of a device. */
  readonly device: { readonly major: number; readonly minor: number };
}

/** Takes an archive's entries, in order. */
export interface TarSink {
  /** An entry begins; only a file has data. */
  begin(entry: TarEntry): void;
  /** Data of the file that began last; what no call fills is a hole. */
  data(bytes: Buffer, position: number): void;
  /** All data of the entry has come. */
  end(): void;
}

/** Kinds by type flag. */
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
