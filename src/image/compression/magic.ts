/** The types of files that are recognized by their first bytes. */
export type FileType = "gzip" | "zstd" | "xz" | "bzip2" | "qcow2";

/** How many bytes {@link isOneOf} needs. */
export const MAGIC_BYTES = 6;

/** The first bytes of each type; of a zstd skippable frame, the lowest four bits are free. */
const MAGIC: Readonly<Record<FileType, readonly (readonly number[])[]>> = {
  gzip: [[0x1f, 0x8b]],
  // A frame, or a skippable one before it (RFC 8878): zstd:chunked layers have these.
  zstd: [[0x28, 0xb5, 0x2f, 0xfd], ...Array.from({ length: 16 }, (_, low) => [0x50 + low, 0x2a, 0x4d, 0x18])],
  xz: [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  bzip2: [[0x42, 0x5a, 0x68]],
  qcow2: [[0x51, 0x46, 0x49, 0xfb]],
};

/** Whether content begins with the magic number of a type. */
export function isOneOf(start: Uint8Array, type: FileType): boolean {
  return MAGIC[type].some((magic) => magic.every((byte, index) => start[index] === byte));
}

/** The first of some types that content has by its first bytes: a media type or a file's name may be wrong. */
export function typeOf<Type extends FileType>(start: Uint8Array, types: readonly Type[]): Type | undefined {
  return types.find((type) => isOneOf(start, type));
}
