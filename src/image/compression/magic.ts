/** The first bytes that identify a file's type. */
const MAGIC = {
  gzip: [[0x1f, 0x8b]],
  // A frame, or a skippable one before it (RFC 8878).
  zstd: [
    [0x28, 0xb5, 0x2f, 0xfd],
    [0x50, 0x2a, 0x4d, 0x18],
  ],
  xz: [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  bzip2: [[0x42, 0x5a, 0x68]],
  qcow2: [[0x51, 0x46, 0x49, 0xfb]],
} as const;

/** Whether content begins with the magic number of a type. */
export function isOneOf(start: Uint8Array, kind: keyof typeof MAGIC): boolean {
  return MAGIC[kind].some((magic) => magic.every((byte, index) => start[index] === byte));
}
