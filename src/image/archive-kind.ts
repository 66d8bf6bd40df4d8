import { UnpackError } from "../lib/errors";
import { BLOCK, parseHeader } from "./archive/tar-header";
import { typeOf } from "./compression/decompress";

/** Bytes that looksLikeArchive() needs of a file's start. */
export const ARCHIVE_HEAD = BLOCK;

/** The compressions of an image's archive. */
export const ARCHIVE_COMPRESSIONS = ["gzip", "zstd", "xz", "bzip2"] as const;

/**
 * Whether a file is a tar archive or compressed, by its first bytes; otherwise it is a disk image, because systemd-nspawn runs no compressed
 * ones.
 */
export function looksLikeArchive(head: Buffer): boolean {
  if (typeOf(head, ARCHIVE_COMPRESSIONS) !== undefined) return true;
  if (head.length < BLOCK) return false;
  try {
    return parseHeader(head) !== undefined;
  } catch (error) {
    if (error instanceof UnpackError) return false;
    throw error;
  }
}
