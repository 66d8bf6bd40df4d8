import { existsSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { basename, join } from "node:path";
import * as v from "valibot";
import { ignoreMissing, isMissing } from "../../lib/errors";
import { isUnfinished, writeAtomically } from "../../lib/files";
import { fileLock, tryFileLock, unusedFileLock } from "../../linux/flock";
import { isImageBeingOpened, isImageInUse } from "../../nspawn/image-lock";
import { idOf, lockDownload, MADE, scratchPath } from "./pool";
import type { MachineImage } from "./request";

/**
 * What makes a file or directory the one that was downloaded. Numbers are text: they may have more digits than a number of JSON.
 */
const identitySchema = v.object({
  device: v.string(),
  inode: v.string(),
  /** Its creation, nanoseconds since the epoch; 0 if the file system does not record it. */
  created: v.string(),
  /** The last change of a disk image's content, nanoseconds since the epoch; "" of a directory, whose own time says little. */
  changed: v.string(),
});
type Identity = v.InferOutput<typeof identitySchema>;

/** A record is written within this time, in milliseconds: an unfinished file that is older was left by a killed process. */
const WRITTEN_MS = 60_000;

const recordSchema = v.object({
  version: v.literal(1),
  name: v.string(),
  type: v.picklist(["tar", "raw"]),
  identity: identitySchema,
  /** Names of the files beside it that came with it, such as its settings. */
  beside: v.array(v.string()),
  /**
   * Set once a container could write into it: the directory of the allocation whose data it then has, if the image's name contains the
   * allocation's ID, so that no other allocation will use it; otherwise "".
   */
  writer: v.optional(v.string()),
});

/** What the driver knows of a machine image that it downloaded. Its modification time is that of the image's last use. */
export type DownloadRecord = v.InferOutput<typeof recordSchema>;

/** What decides whether a downloaded image is removed. */
export interface ImageFacts {
  readonly record: DownloadRecord;
  /** Of what has the image's name now; undefined if nothing has. */
  readonly found: Identity | undefined;
  readonly inUse: boolean;
  /** Milliseconds since the epoch. */
  readonly lastUse: number;
  /** Whether the directory of the allocation that wrote into it exists. */
  readonly writerExists: boolean;
}

/**
 * What garbage collection does with a downloaded image. An image that is not the downloaded one any more is forgotten: it is the
 * operator's. One that a container wrote into is kept, because the data may be needed by a later task; only if its name belongs to one
 * allocation is it removed, when Nomad has removed that allocation's directory.
 *
 * @param since images that were last used at this time or earlier are removed; milliseconds since the epoch
 */
export function fateOf({ record, found, inUse, lastUse, writerExists }: ImageFacts, since: number): ImageFate {
  if (found === undefined || !isSame(record, found)) return "forget";
  if (inUse) return "used";
  if (record.writer !== undefined) return record.writer === "" || writerExists ? "keep" : "remove";
  return lastUse <= since ? "remove" : "keep";
}

type ImageFate = "forget" | "used" | "keep" | "remove";

function isSame({ type, identity, writer }: DownloadRecord, found: Identity): boolean {
  const { device, inode, created, changed } = identity;
  const same = device === found.device && inode === found.inode && created === found.created;
  return same && (type === "tar" || writer !== undefined || changed === found.changed);
}

/**
 * The allocation directory to record for a container that may write into an image: "" unless the image's name contains the ID of the
 * allocation, whole or its first eight digits (NOMAD_SHORT_ALLOC_ID).
 */
export function writerOf(image: string, allocation: string): string {
  const short = basename(allocation).slice(0, 8);
  return /^[0-9a-f]{8}$/.test(short) && image.includes(short) ? allocation : "";
}

/** Where the images and their records are. */
interface DownloadedPlaces {
  /** Of the records; made with the first one. */
  readonly records: string;
  /** Of the images: /var/lib/machines. */
  readonly machines: string;
  /** See DownloadContext. */
  readonly locks: string;
  readonly isUsed: (path: string) => Promise<boolean>;
}

/** What a garbage collection did. */
interface CollectedDownloads {
  /** Names of the removed images. */
  readonly removed: readonly string[];
  /** How many images were kept. */
  readonly left: number;
}

/** A downloaded image in a list. */
export interface ListedDownload {
  readonly name: string;
  readonly path: string;
  /** Whether a container runs on it. */
  readonly used: boolean;
  /** Whether a container could write into it: it is kept then, see fateOf(). */
  readonly written: boolean;
  /** Milliseconds since the epoch. */
  readonly lastUse: number;
}

/** The machine images that the driver downloaded, and their garbage collection. Everything else in /var/lib/machines is not touched. */
export class DownloadedImages {
  readonly #places: DownloadedPlaces;

  constructor(places: DownloadedPlaces) {
    this.#places = places;
  }

  /**
   * Keeps an image from garbage collection until the lease is disposed of, and counts as a use. Take it before looking for the image.
   *
   * @param wanted whether the image will be recorded if it is downloaded; otherwise only a recorded one needs a lease
   * @throws what `signal` aborts with
   */
  async lease(name: string, wanted: boolean, signal: AbortSignal): Promise<Disposable> {
    const { record, lock } = this.#pathsOf(name);
    if (!wanted && !existsSync(record)) return { [Symbol.dispose]: () => {} };
    await mkdir(this.#places.records, { recursive: true, mode: 0o700 });
    const held = await fileLock(lock, "shared", signal);
    await touch(record);
    return held;
  }

  /**
   * Records an image that is complete and does not have its name yet: if this process is killed before the move, the record
   * fits no image and is forgotten.
   *
   * @param scratch see importImage()
   */
  async record({ name, type }: Pick<MachineImage, "name" | "type">, scratch: string): Promise<void> {
    const identity = await identityOf(join(scratch, MADE), type);
    if (identity === undefined) return;
    const beside = (await readdir(scratch)).filter((file) => file.startsWith(`${MADE}.`));
    await this.#write({
      version: 1,
      name,
      type,
      identity,
      beside: beside.map((file) => name + file.slice(MADE.length)),
    });
  }

  /** Records that a container may write into an image, if it is one that the driver downloaded. @param allocation its directory */
  async markWritten(path: string, allocation: string): Promise<void> {
    const name = basename(path).replace(/\.raw$/, "");
    const known = await readDownload(this.#pathsOf(name).record);
    if (known === undefined || this.#pathOf(known) !== path || known.writer === "") return;
    const writer = writerOf(name, allocation);
    await this.#write({ ...known, writer: known.writer === undefined || known.writer === writer ? writer : "" });
  }

  /** The downloaded images that still exist, the most recently used first. */
  async list(): Promise<readonly ListedDownload[]> {
    const found: ListedDownload[] = [];
    for (const file of (await readdir(this.#places.records).catch(ignoreMissing)) ?? []) {
      if (!file.endsWith(".json")) continue;
      const path = join(this.#places.records, file);
      const record = await readDownload(path);
      const changed = await stat(path).catch(ignoreMissing);
      if (record === undefined || changed === undefined) continue;
      const image = this.#pathOf(record);
      const here = await identityOf(image, record.type);
      if (here === undefined || !isSame(record, here)) continue;
      const used = isImageInUse(image) || (await this.#places.isUsed(image));
      found.push({
        name: record.name,
        path: image,
        used,
        written: record.writer !== undefined,
        lastUse: changed.mtimeMs,
      });
    }
    return found.toSorted((one, other) => other.lastUse - one.lastUse);
  }

  /** Removes the images that fateOf() says. @param since milliseconds since the epoch */
  async collect(since: number): Promise<CollectedDownloads> {
    const removed: string[] = [];
    let left = 0;
    for (const file of (await readdir(this.#places.records).catch(ignoreMissing)) ?? []) {
      if (file.endsWith(".lock")) await this.#removeUnusedLock(file);
      if (isUnfinished(file)) await this.#removeAbandoned(file);
      const name = file.endsWith(".json") ? (await readDownload(join(this.#places.records, file)))?.name : undefined;
      if (name === undefined) continue;
      const paths = this.#pathsOf(name);
      using lock = await unusedFileLock(paths.lock);
      const fate = lock === undefined ? "keep" : await this.#apply(name, since);
      if (fate === "remove") removed.push(name);
      if (fate === "keep" || fate === "used") left += 1;
    }
    return { removed, left };
  }

  /** Of a writer that was killed. */
  async #removeAbandoned(file: string): Promise<void> {
    const path = join(this.#places.records, file);
    const stats = await stat(path).catch(ignoreMissing);
    if (stats !== undefined && stats.mtimeMs <= Date.now() - WRITTEN_MS) await rm(path, { force: true });
  }

  /** Of an image that was not downloaded after all. */
  async #removeUnusedLock(file: string): Promise<void> {
    const path = join(this.#places.records, file);
    if (existsSync(path.replace(/lock$/, "json"))) return;
    using lock = tryFileLock(path, "exclusive");
    if (lock !== undefined) await rm(path, { force: true });
  }

  /** Call it with the exclusive lock of the image: then no task is about to use it. */
  async #apply(name: string, since: number): Promise<ImageFate> {
    const paths = this.#pathsOf(name);
    const record = await readDownload(paths.record);
    if (record === undefined) return "forget";
    const path = this.#pathOf(record);
    const fate = fateOf(
      {
        record,
        found: await identityOf(path, record.type),
        inUse: isImageInUse(path) || isImageBeingOpened(path) || (await this.#places.isUsed(path)),
        lastUse: (await stat(paths.record)).mtimeMs,
        writerExists: record.writer !== undefined && record.writer !== "" && existsSync(record.writer),
      },
      since,
    );
    if (fate === "used") await touch(paths.record);
    if (fate === "remove") await this.#remove(record);
    if (fate === "remove" || fate === "forget") {
      await rm(paths.record, { force: true });
      await rm(paths.lock, { force: true });
    }
    return fate;
  }

  /** Takes the image's name away first: a removal that is interrupted leaves no half an image, and the next download completes it. */
  async #remove(record: DownloadRecord): Promise<void> {
    const { machines, locks } = this.#places;
    const { name } = record;
    await using _download = await lockDownload(locks, name, AbortSignal.timeout(1000));
    const scratch = scratchPath(machines, name);
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { mode: 0o700 });
    await rename(this.#pathOf(record), join(scratch, MADE));
    for (const file of record.beside) await rm(join(machines, basename(file)), { force: true });
    await rm(scratch, { recursive: true, force: true });
  }

  async #write(record: DownloadRecord): Promise<void> {
    await mkdir(this.#places.records, { recursive: true, mode: 0o700 });
    await writeAtomically(this.#pathsOf(record.name).record, `${JSON.stringify(record)}\n`);
  }

  #pathsOf(name: string) {
    const own = join(this.#places.records, idOf(name));
    return { record: `${own}.json`, lock: `${own}.lock` };
  }

  #pathOf({ name, type }: Pick<DownloadRecord, "name" | "type">): string {
    return join(this.#places.machines, type === "raw" ? `${name}.raw` : name);
  }
}

/** Undefined if the record does not exist, or this version does not understand it. */
async function readDownload(path: string): Promise<DownloadRecord | undefined> {
  try {
    const parsed = v.safeParse(recordSchema, JSON.parse(await readFile(path, "utf8")));
    return parsed.success ? parsed.output : undefined;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Undefined if nothing of that kind exists at the path; a symlink is not followed. */
async function identityOf(path: string, type: "tar" | "raw"): Promise<Identity | undefined> {
  const found = await lstat(path, { bigint: true }).catch(ignoreMissing);
  if (found === undefined || (type === "tar" ? !found.isDirectory() : !found.isFile())) return undefined;
  return {
    device: String(found.dev),
    inode: String(found.ino),
    created: String(found.birthtimeNs),
    changed: type === "tar" ? "" : String(found.mtimeNs),
  };
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(ignoreMissing);
}
