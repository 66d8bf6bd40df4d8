/**
 * The image store: container (OCI) images on this client's disk, shared by all agents of a host. A *layer* is an unpacked directory,
 * named by its *diff ID*, the digest of its uncompressed archive; an *image* is a record with the digests of its layers; a *reference* is
 * a name with the digest that it last resolved to; a *snapshot* is the root of one container, an overlay of an image's layers, or of a
 * directory or disk image of the host, below an empty directory for writes. A *lease* keeps an image from garbage collection while a
 * container is prepared; afterwards the container's own record does.
 *
 * One lock file orders processes: shared to add or use, exclusive to remove. What is under construction is in tmp/ with a lock of its own
 * and is moved to its place when it is complete, so that a killed process leaves nothing that could be mistaken for an image. After a
 * power failure only layers that were synced to the disk are used. The format is in store-format.ts.
 */

import { createHash } from "node:crypto";
import { existsSync, statfsSync } from "node:fs";
import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { isMissing, orDiskFull, StoreError } from "../../lib/errors";
import type { Logger } from "../../lib/logger";
import { defined } from "../../lib/objects";
import { type FileLock, fileLock, tryFileLock, unusedFileLock } from "../../linux/flock";
import type { DiskImage } from "../disk/dissect";
import type { ImageSignature } from "../signature/payload";
import type { ImageManifest, ImageSource } from "../source";
import { type MountedDisk, openDisk } from "./disks";
import { type Collected, type CollectLimits, collect } from "./gc";
import { completeImage, imagePath, PullCoordinator, type PullProgress } from "./pull";
import { storedSignatures, storeSignatures } from "./signatures";
import { storedBytes } from "./size-limit";
import {
  allContainers,
  containerDirectory,
  prepareSnapshot,
  type RootRequest,
  removeRoot,
  removeStaleRoots,
  storeOf,
} from "./snapshots";
import {
  containerPaths,
  openStore,
  readContainer,
  readImage,
  readReference,
  type StoredContainer,
  type StoredImage,
  type StorePaths,
  storePaths,
  writeRecord,
} from "./store-format";
import { StoreSync } from "./store-sync";

/** The environment of a store. */
interface StoreContext {
  readonly directory: string;
  readonly log: Logger;
  /** Whether a container's files exist, as they do while it may have a root here. */
  readonly isOwned: (machine: string) => boolean;
  /** Called for each image that was fetched. */
  readonly onPulled?: (pulled: { readonly bytes: number; readonly ms: number }) => void;
}

/** A requested image. */
export interface WantedImage {
  /** As named in the job. */
  readonly name: string;
  readonly source: ImageSource;
  /** Whether to use the name's earlier resolution, if that image still exists. */
  readonly reuse: boolean;
  /** Throws if the image that the name resolved to must not be used; nothing of it is fetched then. */
  readonly approve?:
    | ((image: Pick<ImageManifest, "digest" | "list">, signal: AbortSignal) => Promise<void>)
    | undefined;
  /** Bytes to keep free on the disk. */
  readonly keepFree: number;
  /** Bytes that the store may have; undefined for no limit. */
  readonly mostBytes?: number | undefined;
  /** Whether fs-verity protects the image's files, where the file system has it. */
  readonly verity: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** An image that is not garbage collected before this is disposed of, or while a container uses it. */
export interface AcquiredImage extends Disposable {
  readonly image: StoredImage;
  /** Whether anything was fetched. */
  readonly fetched: boolean;
}

/** The images of this host, as used by this process. */
export class ImageStore {
  readonly directory: string;
  readonly #context: StoreContext;
  readonly #pulls: PullCoordinator;
  readonly #sync: StoreSync;
  #opened: Promise<StorePaths> | undefined;

  constructor(context: StoreContext) {
    this.directory = context.directory;
    this.#context = context;
    const { log } = context;
    this.#sync = new StoreSync(log);
    this.#pulls = new PullCoordinator({
      onPulled: (paths, { devices, ...pulled }) => {
        log.info("image fetched", pulled);
        context.onPulled?.(pulled);
        if (devices > 0) log.info("device nodes of the image left out", { image: pulled.image, devices });
        this.#sync.soon(paths);
      },
    });
  }

  /** Opens the store on first use. @throws StoreError */
  open(): Promise<StorePaths> {
    this.#opened ??= this.#open().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  /**
   * Ensures that an image is in the store, and keeps it. Of several calls for an image, one fetches it.
   *
   * @throws StoreError, SourceError, and what `signal` aborts with
   */
  async acquire(wanted: WantedImage): Promise<AcquiredImage> {
    const paths = await this.open();
    const { name, source, signal } = wanted;
    let lock: FileLock | undefined;
    try {
      lock = await fileLock(paths.lock, "shared", signal);
      const kept = lock;
      const known = wanted.reuse ? await this.#known(paths, name) : undefined;
      if (known !== undefined) {
        await wanted.approve?.({ digest: known.image.digest, ...defined({ list: known.list }) }, signal);
        return acquired(kept, known.image, false);
      }
      const manifest = await source.manifest({ signal });
      await wanted.approve?.(manifest, signal);
      const there = await completeImage(paths, manifest.digest);
      const image = there ?? (await this.#pulls.pull(paths, { ...wanted, image: name, manifest }));
      await writeRecord(referencePath(paths, name), {
        version: 1,
        reference: name,
        digest: image.digest,
        ...defined({ list: manifest.list }),
        at: Date.now(),
      });
      return acquired(kept, image, there === undefined);
    } catch (error) {
      lock?.[Symbol.dispose]();
      throw isTimeout(error) ? timeoutError(name, error) : orDiskFull(error);
    }

    async function acquired(kept: FileLock, image: StoredImage, fetched: boolean): Promise<AcquiredImage> {
      await touch(imagePath(paths, image.digest));
      return { image, fetched, [Symbol.dispose]: () => kept[Symbol.dispose]() };
    }
  }

  /** Mounts a disk image of the host for roots that show it; see openDisk(). @throws DiskError, StoreError */
  async openDisk(image: DiskImage): Promise<MountedDisk> {
    return openDisk(await this.open(), image);
  }

  /** Prepares a container's root from an acquired image, a directory or an open disk; see prepareSnapshot(). */
  async prepareSnapshot(request: RootRequest): Promise<string> {
    return prepareSnapshot(await this.open(), request);
  }

  /** The paths of a container in this store. */
  containerDirectory(machine: string): string {
    return containerDirectory(storePaths(this.directory), machine);
  }

  /** The signatures that keepSignatures() has kept of an image, by its manifest's digest. */
  async signaturesOf(digest: string): Promise<readonly ImageSignature[]> {
    return storedSignatures(await this.open(), digest);
  }

  /** Keeps the signatures of an image that is about to be in the store. */
  async keepSignatures(digest: string, signatures: readonly ImageSignature[]): Promise<void> {
    await storeSignatures(await this.open(), digest, signatures);
  }

  /** Whether a container's root in this store shows the files of a directory or disk image of the host. */
  async usesHostImage(path: string): Promise<boolean> {
    const paths = storePaths(this.directory);
    if (!existsSync(paths.containers)) return false;
    const containers = await allContainers(paths);
    return containers.some(({ directory, machine }) => directory === path && this.#context.isOwned(machine));
  }

  /**
   * Removes images that have not been used since a time, and while the disk has too little space, or the store too much, also others.
   *
   * @param since milliseconds since the epoch
   * @param keepFree bytes
   * @param most bytes that the store may have
   * @returns undefined if the store is in use right now: nothing was done
   */
  async collect(since: number, keepFree: number, most = Number.POSITIVE_INFINITY): Promise<Collected | undefined> {
    const paths = await this.open();
    const enough = async () =>
      this.freeBytes() >= keepFree && (most === Number.POSITIVE_INFINITY || (await storedBytes(paths)) <= most);
    const old = await this.#collect(paths, { since });
    if (old === undefined || (await enough())) return old;
    const more = await this.#collect(paths, { since: Date.now(), enough });
    if (more === undefined) return old;
    return { ...more, images: [...old.images, ...more.images], layers: [...old.layers, ...more.layers] };
  }

  /** Removes unused images, the least recently used first, until the store has so much room below a limit. @param needed bytes */
  async makeRoom(needed: number, most: number): Promise<void> {
    const paths = await this.open();
    await this.#collect(paths, { since: Date.now(), enough: async () => (await storedBytes(paths)) + needed <= most });
  }

  async #collect(paths: StorePaths, limits: CollectLimits): Promise<Collected | undefined> {
    await using trash = new AsyncDisposableStack();
    using lock = await unusedFileLock(paths.lock);
    if (lock === undefined) return undefined;
    await removeStaleRoots(paths, this.#context.isOwned);
    return await collect(paths, limits, trash);
  }

  /** Bytes of the unpacked layers of a store that exists, as their archives have them. */
  async storedBytes(): Promise<number> {
    return storedBytes(storePaths(this.directory));
  }

  /** Free bytes on the store's disk. */
  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.directory);
    return bavail * bsize;
  }

  async #open(): Promise<StorePaths> {
    const paths = await openStore(this.directory);
    {
      // Processes that prepare a root hold the lock shared; a later collection removes the rest.
      using lock = tryFileLock(paths.lock, "exclusive");
      if (lock !== undefined) await removeStaleRoots(paths, this.#context.isOwned);
    }
    this.#sync.now(paths);
    return paths;
  }

  async #known(paths: StorePaths, name: string) {
    const reference = await readReference(referencePath(paths, name));
    if (reference === undefined || reference.reference !== name) return undefined;
    const image = await completeImage(paths, reference.digest);
    return image === undefined ? undefined : { image, list: reference.list };
  }
}

/**
 * Removes a container's root, given its directory in any store, and records the image's last use. Does
 * nothing if it does not exist.
 */
export async function releaseRoot(directory: string): Promise<void> {
  const container = await removeRoot(directory);
  if (container?.image === undefined) return;
  await touch(imagePath(storeOf(directory), container.image));
}

/** The record of a container, given its directory; undefined if it has none. */
export function containerOfRoot(directory: string): Promise<StoredContainer | undefined> {
  return readContainer(containerPaths(directory).record);
}

/** The stored image of a container, given its directory; undefined if it has none, or it is no longer known. */
export async function imageOfRoot(directory: string): Promise<StoredImage | undefined> {
  const container = await containerOfRoot(directory);
  return container?.image === undefined ? undefined : readImage(imagePath(storeOf(directory), container.image));
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function timeoutError(name: string, cause: unknown): StoreError {
  const message = `Preparing the image ${name} timed out (option image_pull_timeout, or the plugin option pull_timeout).`;
  return new StoreError(message, { recoverable: true, cause });
}

/** A record's mtime is the image's last use. */
async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
}

function referencePath(paths: StorePaths, name: string): string {
  return join(paths.references, `${createHash("sha256").update(name).digest("hex")}.json`);
}
