import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  lutimesSync,
  openSync,
  writeSync,
} from "node:fs";
import { crc32 } from "node:zlib";
import { quoteName, UnpackError } from "../../lib/errors";
import { defined } from "../../lib/objects";
import { CallError } from "../../linux/ffi";
import { setAttribute } from "../../linux/files";
import { enableVerity } from "../../linux/verity";
import { attributeIsSet, native, timeOf } from "./names";
import type { LayerRecord } from "./report";
import type { ByteString, TarEntry } from "./tar-header";

/** Sets the extended attributes of an entry that exists. @throws UnpackError */
export function setAttributes(path: ByteString, { xattrs, kind }: TarEntry): void {
  for (const [name, value] of xattrs) {
    if (!attributeIsSet(name)) continue;
    try {
      setAttribute(native(path), name, value);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      // Not every file system supports user attributes, and symlinks and FIFOs cannot have any.
      const usual = error.code === "ENOTSUP" || (error.code === "EPERM" && kind !== "file");
      if (usual && name !== "security.capability") continue;
      throw new UnpackError(`cannot set the attribute ${quoteName(name)} of ${quoteName(path)}: ${error.message}`);
    }
  }
}

/** With O_NOFOLLOW, although an exclusive creation follows no symlink. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** A file being written, at a path where nothing exists. */
export class FileWriter {
  readonly path: ByteString;
  readonly entry: TarEntry;
  readonly #fd: number;
  readonly #protect: boolean;
  #crc = 0;
  #written = 0;

  /** @param protect whether fs-verity shall protect it, if it has no holes: the kernel would hash these too, and an image can have terabytes */
  constructor(path: ByteString, entry: TarEntry, protect: boolean) {
    this.path = path;
    this.#protect = protect;
    this.entry = entry;
    this.#fd = openSync(native(path), NEW_FILE, 0o600);
  }

  write(bytes: Buffer, position: number): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at, position + at);
    this.#crc = crc32(bytes, this.#crc);
    this.#written += bytes.length;
  }

  /**
   * Sets the file's size, owner, mode and time, and closes it.
   *
   * @param attributes sets the extended attributes
   * @returns the CRC-32 of its data, undefined for a file with holes, which would have to be included; and the digest of fs-verity, if
   *   that protects it
   */
  end(attributes: () => void): Pick<LayerRecord, "crc" | "verity"> {
    const { size, uid, gid, mode, mtime } = this.entry;
    const time = timeOf(mtime);
    try {
      if (this.#written !== size) ftruncateSync(this.#fd, size);
      fchownSync(this.#fd, uid, gid);
      // After the owner, because changing that clears set-user-ID bits.
      fchmodSync(this.#fd, mode);
      attributes();
      futimesSync(this.#fd, time, time);
    } finally {
      closeSync(this.#fd);
    }
    if (this.#written !== size) return {};
    const verity = this.#protect ? enableVerity(native(this.path)) : undefined;
    // The hashes are written behind the data, which counts as a change.
    if (verity !== undefined) lutimesSync(native(this.path), time, time);
    return { crc: this.#crc, ...defined({ verity }) };
  }

  /** Abandons it unfinished. */
  close(): void {
    closeSync(this.#fd);
  }
}
