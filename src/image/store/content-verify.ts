import { closeSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { errnoCode } from "../../lib/errors";
import { measureVerity } from "../../linux/verity";
import type { LayerRecord } from "../archive/report";

const READ_BYTES = 1024 * 1024;

/** Compares the content of files with the records of their unpacking. */
export class ContentVerifier {
  readonly #readAll: boolean;
  /** Files that were not read, because fs-verity protects them and has the recorded digest. */
  unread = 0;

  /**
   * @param readAll whether to read also the files that fs-verity protects: the kernel compares their blocks only when they are read, so
   *   that damage on the disk is found only by reading
   */
  constructor(readAll: boolean) {
    this.#readAll = readAll;
  }

  /** What is wrong with a file, a clause without a full stop; undefined if nothing is, or nothing is recorded, as for a file with holes. */
  problem(path: string | Buffer, { crc, verity }: LayerRecord): string | undefined {
    if (crc === undefined) return undefined;
    try {
      const measured = verity === undefined ? undefined : measureVerity(path);
      // A file that was copied to another disk is not protected any more, and is read as any other.
      if (measured !== undefined && measured !== verity) return "has other content";
      if (measured !== undefined && !this.#readAll) {
        this.unread += 1;
        return undefined;
      }
      return checksum(path) === crc ? undefined : "has other content";
    } catch (error) {
      const code = errnoCode(error);
      if (code === undefined) throw error;
      return `cannot be read: ${code}`;
    }
  }
}

function checksum(path: string | Buffer): number {
  const fd = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(READ_BYTES);
    let crc = 0;
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
      crc = crc32(buffer.subarray(0, length), crc);
    }
    return crc;
  } finally {
    closeSync(fd);
  }
}
