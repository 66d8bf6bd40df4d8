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

import {
  chmodSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
} from "node:fs";
import { errnoCode, quoteName, UnpackError } from "../../lib/errors";
import { OVERLAY_OPAQUE } from "../../linux/constants";
import { createFifo, createWhiteout, setAttribute } from "../../linux/files";
import { FileWriter, setAttributes } from "./file-writer";
import { isSame, isWhiteout, look, nameParts, native, timeOf, whiteout } from "./names";
import type { LayerRecord } from "./report";
import type { ByteString, TarEntry, TarSink } from "./tar-header";

const YES = Buffer.from("y");

/** What an archive contains: a layer of a container image, or a whole tree. */
export type ArchiveKind = "layer" | "tree";

const NO_WHITEOUT = { kind: "none" } as const;

/** As many symlinks as the kernel follows in a path (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Errors of the file system that come from the archive's content, so that another attempt would fail in the same way: names that
 * contradict each other, or that the file system cannot hold.
 */
const CONTENT_ERRORS: ReadonlySet<string> = new Set([
  ...["EEXIST", "EINVAL", "EISDIR", "ELOOP", "EMLINK", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "ENOTEMPTY", "EXDEV"],
]);

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
  /** Whether fs-verity protects the files; false as soon as the file system turned out to lack it. */
  #verity: boolean;
  readonly #directoryTimes = new Map<ByteString, number>();
  readonly #known = new Set<ByteString>();
  /** Directories that no entry describes: they got an owner and a mode of no meaning. */
  readonly #implied = new Set<ByteString>();
  #file: FileWriter | undefined;
  entries = 0;
  /** Device nodes, which are left out: the driver decides which devices a container has, in a /dev of its own. */
  devices = 0;

  /**
   * @param kind in a tree no name is a whiteout
   * @param verity whether to protect the files by fs-verity, where the file system has it; not for a tree that a task may write into
   */
  constructor(record: Recorder, kind: ArchiveKind = "layer", verity = false) {
    this.#record = record;
    this.#kind = kind;
    this.#verity = verity;
  }

  /** The directories that the archive implies, because they have entries below them, but does not describe. */
  get implied(): readonly ByteString[] {
    return [...this.#implied];
  }

  /** @throws UnpackError for entries that an image must not have, or that contradict others, and errors of the file system */
  begin(entry: TarEntry): void {
    this.entries += 1;
    try {
      this.#begin(entry);
    } catch (error) {
      const code = errnoCode(error);
      if (code === undefined || !CONTENT_ERRORS.has(code)) throw error;
      throw new UnpackError(`the entry ${quoteName(entry.name)} cannot be written: ${code}`);
    }
  }

  #begin(entry: TarEntry): void {
    const parts = nameParts(entry.name);
    const last = parts.at(-1);
    if (last === undefined) {
      if (entry.kind !== "directory") throw new UnpackError("its root is not a directory");
      this.#directory("/", entry);
      return;
    }
    if (entry.kind === "character device" || entry.kind === "block device") {
      this.devices += 1;
      return;
    }
    const parent = this.#parent(parts.slice(0, -1), entry.name);
    const removal = this.#kind === "tree" ? NO_WHITEOUT : whiteout(last);
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
    const content = file.end(() => setAttributes(path, entry));
    if (content.crc !== undefined) this.#verity &&= content.verity !== undefined;
    this.#recordEntry(path, entry, content);
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
    if (entry.kind === "hard link") {
      const there = look(path);
      // Replacing a file by a hard link to itself would remove it.
      if (there !== undefined && isSame(there, look(this.#linkTarget(entry)))) return;
      if (there !== undefined) this.#remove(path, there);
      this.#hardLink(path, entry);
      return;
    }
    // Nearly every entry is new, and the kernel says if one is not: looking first would take half as long as creating it.
    if (this.#create(path, entry)) {
      this.#created(path, entry, false);
      return;
    }
    const there = look(path);
    if (entry.kind === "directory" && there?.isDirectory() === true) {
      this.#directory(path, entry);
      return;
    }
    if (there !== undefined) this.#remove(path, there);
    if (!this.#create(path, entry)) throw new UnpackError(`${quoteName(path)} cannot be replaced`);
    this.#created(path, entry, there !== undefined && isWhiteout(there));
  }

  /** Creates a file, directory, symlink or FIFO, which has no owner and time yet. @returns false if something exists there */
  #create(path: ByteString, entry: TarEntry): boolean {
    try {
      if (entry.kind === "file") this.#file = new FileWriter(path, entry, this.#verity);
      else if (entry.kind === "directory") mkdirSync(native(path), 0o700);
      else if (entry.kind === "symlink") symlinkSync(native(linkOf(path, entry)), native(path));
      else createFifo(native(path), 0o600);
      return true;
    } catch (error) {
      if (errnoCode(error) !== "EEXIST") throw error;
      return false;
    }
  }

  /** @param replaces whether it has replaced a whiteout */
  #created(path: ByteString, entry: TarEntry, replaces: boolean): void {
    if (entry.kind === "file") return;
    if (entry.kind === "directory") {
      this.#directory(path, entry);
      if (replaces) setAttribute(native(path), OVERLAY_OPAQUE, YES);
      return;
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
    this.#implied.delete(path);
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

  /**
   * The directory of an entry, created if the archive does not have it. Symlinks on the way are followed as in the container, also to
   * what does not exist yet, as containerd does it.
   *
   * @returns its path without symlinks; "" for the root
   */
  #parent(parts: readonly string[], name: ByteString): ByteString {
    const whole = parts.length === 0 ? "" : `/${parts.join("/")}`;
    if (whole === "" || this.#known.has(whole)) return whole;
    const todo = [...parts];
    let path = "";
    let links = 0;
    for (let part = todo.shift(); part !== undefined; part = todo.shift()) {
      if (part === "" || part === ".") continue;
      if (part === "..") {
        path = path.slice(0, Math.max(0, path.lastIndexOf("/")));
        continue;
      }
      const here = `${path}/${part}`;
      const there = this.#known.has(here) ? undefined : look(here);
      if (there?.isSymbolicLink() !== true) {
        if (!this.#known.has(here)) this.#parentDirectory(here, there, name);
        path = here;
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) throw new UnpackError(`${quoteName(name)} is below too many symlinks`);
      const target = readlinkSync(native(here), "latin1");
      if (target.startsWith("/")) path = "";
      todo.unshift(...target.split("/"));
    }
    return path;
  }

  #parentDirectory(path: ByteString, there: Stats | undefined, name: ByteString): void {
    if (there === undefined || isWhiteout(there)) {
      if (there !== undefined) this.#remove(path, there);
      mkdirSync(native(path), 0o755);
      if (there === undefined) this.#implied.add(path);
      else setAttribute(native(path), OVERLAY_OPAQUE, YES);
      this.#record({ path, kind: "directory" });
    } else if (!there.isDirectory()) {
      throw new UnpackError(`${quoteName(name)} is below ${quoteName(path)}, which is not a directory`);
    }
    this.#known.add(path);
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
    setAttribute(native(path), OVERLAY_OPAQUE, YES);
    this.#record({ path, kind: "opaque" });
  }

  #remove(path: ByteString, there: Stats): void {
    rmSync(native(path), { recursive: there.isDirectory(), force: true });
    if (there.isDirectory()) {
      for (const paths of [this.#known, this.#implied, this.#directoryTimes]) {
        for (const known of paths.keys()) {
          if (known === path || known.startsWith(`${path}/`)) paths.delete(known);
        }
      }
    }
    this.#record({ path, kind: "removed" });
  }

  #recordEntry(path: ByteString, entry: TarEntry, more: Pick<LayerRecord, "crc" | "verity" | "link">): void {
    const { kind, mode, uid, gid, size, mtime } = entry;
    this.#record({ path, kind, mode, uid, gid, size, mtime, ...more });
  }
}

/** The target of a symlink. @throws UnpackError if it has none */
function linkOf(path: ByteString, { kind, link }: TarEntry): ByteString {
  if (link === "" || link.includes("\0")) throw new UnpackError(`${quoteName(path)} is a ${kind} without a target`);
  return link;
}
