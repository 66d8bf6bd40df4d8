/**
 * Unpacking of tar archives: layers of images (layer), and whole trees for machine images (tree). Archives are untrusted, so each is
 * unpacked by a process of its own whose root is the target directory (worker.ts): no name and no symlink in an archive can lead out of
 * it. tar-reader.ts parses ustar, pax and GNU's format; names.ts checks names; this file writes the entries.
 *
 * Terms: a *whiteout* is an entry that removes a file of the layers below, an *opaque* directory one that hides everything in that
 * directory; in an archive they are files named .wh.*, on the disk the device 0:0 and an attribute of overlayfs. A *sparse* file has
 * holes, which the archive omits. A *byte string* is a name or value byte by byte, because names need not be UTF-8. The *list* of a layer
 * has a record for each entry, with which `images verify` compares the files later (report.ts).
 */

import { chmodSync, lchownSync, linkSync, lutimesSync, mkdirSync, rmSync, type Stats, symlinkSync } from "node:fs";
import { quoteName, UnpackError } from "../../lib/errors";
import { createFifo, createWhiteout, setAttribute } from "../../linux/files";
import { FileWriter, setAttributes } from "./file-writer";
import { isSame, isWhiteout, look, nameParts, native, timeOf, whiteout } from "./names";
import type { LayerRecord } from "./report";
import type { ByteString, TarEntry, TarSink } from "./tar-header";

/** The devices of every container, in the /dev that systemd-nspawn mounts over the image's, by Linux's numbers (devices.txt). */
const USUAL: Readonly<Record<ByteString, readonly [major: number, minor: number]>> = {
  "/dev/null": [1, 3],
  "/dev/zero": [1, 5],
  "/dev/full": [1, 7],
  "/dev/random": [1, 8],
  "/dev/urandom": [1, 9],
  "/dev/tty": [5, 0],
  "/dev/console": [5, 1],
  "/dev/ptmx": [5, 2],
};

/** Whether an entry is one of the devices that distributions' images contain from their installation, and that /dev hides anyway. */
function isUsualDevice(path: ByteString, { kind, device }: Pick<TarEntry, "kind" | "device">): boolean {
  const numbers = Object.hasOwn(USUAL, path) ? USUAL[path] : undefined;
  return kind === "character device" && numbers?.[0] === device.major && numbers[1] === device.minor;
}

const OPAQUE = "trusted.overlay.opaque";
const YES = Buffer.from("y");

/** What an archive contains: a layer of a container image, or a whole tree. */
export type ArchiveKind = "layer" | "tree";

/** Called for each written entry, in order. */
export type Recorder = (record: LayerRecord) => void;

/**
 * Writes an archive's entries into the root directory of this process, in the format of overlayfs layers: entries that the layer removes
 * become a character device 0:0 or an opaque directory. Symlinks on the path of an entry are followed; they cannot lead
 * out of the root: see worker.ts.
 */
export class Extractor implements TarSink {
  readonly #record: Recorder;
  readonly #kind: ArchiveKind;
  readonly #directoryTimes = new Map<ByteString, number>();
  readonly #known = new Set<ByteString>();
  #file: FileWriter | undefined;
  entries = 0;

  /** @param kind in a tree no name is a whiteout, and devices are skipped: each container gets its own /dev */
  constructor(record: Recorder, kind: ArchiveKind = "layer") {
    this.#record = record;
    this.#kind = kind;
  }

  /** @throws UnpackError for entries that an image must not have, and errors of the file system */
  begin(entry: TarEntry): void {
    this.entries += 1;
    const parts = nameParts(entry.name);
    const last = parts.at(-1);
    if (last === undefined) {
      if (entry.kind !== "directory") throw new UnpackError("its root is not a directory");
      this.#directory("/", entry);
      return;
    }
    const parent = this.#parent(parts.slice(0, -1), entry.name);
    if (this.#kind === "tree") {
      if (!entry.kind.endsWith("device")) this.#entry(`${parent}/${last}`, entry);
      return;
    }
    const removal = whiteout(last);
    switch (removal.kind) {
      case "ignored":
        return;
      case "opaque":
        this.#opaque(parent === "" ? "/" : parent);
        return;
      case "hides":
        this.#hide(`${parent}/${removal.name}`);
        return;
      case "none":
        this.#entry(`${parent}/${last}`, entry);
    }
  }

  data(bytes: Buffer, position: number): void {
    this.#file?.write(bytes, position);
  }

  end(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    const { path, entry } = file;
    this.#recordEntry(
      path,
      entry,
      file.end(() => setAttributes(path, entry)),
    );
  }

  /** At the end directories get their times, which creating their contents would have changed. */
  finish(): void {
    for (const [path, mtime] of this.#directoryTimes) {
      const time = timeOf(mtime);
      lutimesSync(native(path), time, time);
    }
    this.#directoryTimes.clear();
  }

  /** Abandons an unfinished file. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #entry(path: ByteString, entry: TarEntry): void {
    if (isUsualDevice(path, entry)) return;
    const there = look(path);
    if (entry.kind === "directory" && there?.isDirectory() === true) {
      this.#directory(path, entry);
      return;
    }
    // Replacing a file by a hard link to itself would remove it.
    if (entry.kind === "hard link" && there !== undefined && isSame(there, look(this.#linkTarget(entry)))) return;
    const hidden = there !== undefined && isWhiteout(there);
    if (there !== undefined) this.#remove(path, there);
    switch (entry.kind) {
      case "file":
        this.#file = new FileWriter(path, entry);
        return;
      case "directory":
        mkdirSync(native(path), 0o700);
        this.#directory(path, entry);
        if (hidden) setAttribute(native(path), OPAQUE, YES);
        return;
      case "symlink":
        if (entry.link === "" || entry.link.includes("\0"))
          throw new UnpackError(`${quoteName(path)} is a hard link without a target`);
        symlinkSync(native(entry.link), native(path));
        break;
      case "hard link":
        this.#hardLink(path, entry);
        return;
      case "fifo":
        createFifo(native(path), 0o600);
        chmodSync(native(path), entry.mode);
        break;
      default:
        throw new UnpackError(
          `${quoteName(path)} is a ${entry.kind}: images must not contain devices, because the driver decides which devices a container has`,
        );
    }
    lchownSync(native(path), entry.uid, entry.gid);
    if (entry.kind === "fifo") chmodSync(native(path), entry.mode);
    setAttributes(path, entry);
    const time = timeOf(entry.mtime);
    lutimesSync(native(path), time, time);
    this.#recordEntry(path, entry, entry.kind === "symlink" ? { link: entry.link } : {});
  }

  #directory(path: ByteString, entry: TarEntry): void {
    lchownSync(native(path), entry.uid, entry.gid);
    chmodSync(native(path), entry.mode);
    setAttributes(path, entry);
    this.#directoryTimes.set(path, entry.mtime);
    this.#known.add(path);
    this.#recordEntry(path, entry, {});
  }

  #linkTarget(entry: TarEntry): ByteString {
    return `/${nameParts(entry.link, `the target of ${quoteName(entry.name)}`).join("/")}`;
  }

  #hardLink(path: ByteString, entry: TarEntry): void {
    const target = this.#linkTarget(entry);
    const there = look(target);
    if (there === undefined || there.isDirectory() || isWhiteout(there)) {
      throw new UnpackError(
        `${quoteName(path)} is a hard link to ${quoteName(target)}, which is not a file of the same layer`,
      );
    }
    linkSync(native(target), native(path));
    this.#record({ path, kind: "hard link", link: target });
  }

  /** The directory of an entry, created if the archive does not have it. */
  #parent(parts: readonly string[], name: ByteString): ByteString {
    const whole = parts.length === 0 ? "" : `/${parts.join("/")}`;
    if (whole === "" || this.#known.has(whole)) return whole;
    let path = "";
    for (const part of parts) {
      path += `/${part}`;
      if (this.#known.has(path)) continue;
      const there = look(path);
      if (there === undefined || isWhiteout(there)) {
        if (there !== undefined) this.#remove(path, there);
        mkdirSync(native(path), 0o755);
        if (there !== undefined) setAttribute(native(path), OPAQUE, YES);
        this.#record({ path, kind: "directory" });
      } else if (!there.isDirectory() && !there.isSymbolicLink()) {
        throw new UnpackError(`${quoteName(name)} is below ${quoteName(path)}, which is not a directory`);
      } else if (there.isDirectory()) this.#known.add(path);
    }
    return whole;
  }

  #hide(path: ByteString): void {
    const there = look(path);
    // The layer's own entry takes precedence over the lower layers; such a directory becomes opaque.
    if (there === undefined) {
      createWhiteout(native(path));
      this.#record({ path, kind: "whiteout" });
    } else if (there.isDirectory()) this.#opaque(path);
  }

  #opaque(path: ByteString): void {
    setAttribute(native(path), OPAQUE, YES);
    this.#record({ path, kind: "opaque" });
  }

  #remove(path: ByteString, there: Stats): void {
    rmSync(native(path), { recursive: there.isDirectory(), force: true });
    if (there.isDirectory()) {
      for (const known of this.#known) if (known === path || known.startsWith(`${path}/`)) this.#known.delete(known);
      for (const known of this.#directoryTimes.keys()) {
        if (known === path || known.startsWith(`${path}/`)) this.#directoryTimes.delete(known);
      }
    }
    this.#record({ path, kind: "removed" });
  }

  #recordEntry(path: ByteString, entry: TarEntry, more: Pick<LayerRecord, "crc" | "link">): void {
    const { kind, mode, uid, gid, size, mtime } = entry;
    this.#record({ path, kind, mode, uid, gid, size, mtime, ...more });
  }
}
