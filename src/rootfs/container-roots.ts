import { existsSync } from "node:fs";
import { DiskError, type DiskImage } from "../image/disk/dissect";
import { type ImageConfig, parseImageConfig } from "../image/image-config";
import { isLimitedByQuota } from "../image/store/changes-quota";
import type { MountedDisk } from "../image/store/disks";
import { containerOfRoot, imageOfRoot, releaseRoot } from "../image/store/image-store";
import type { RootOwners, RootRequest } from "../image/store/snapshots";
import { containerPaths } from "../image/store/store-format";
import { StoreError } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { enforcesProjectQuotas } from "../linux/project-quota";
import { readRootNote, removeRootNote, writeRootNote } from "../machine/files";
import type { MachineResource } from "../machine/registry";
import { shareImage } from "../nspawn/image-lock";
import { CONTAINER_IDS } from "../values/private-users";
import { IdRanges } from "./id-ranges";
import { ImageShares } from "./image-shares";
import type { OciImages } from "./oci-images";

/** A root to make, on an image of the store, or on a directory or disk image of the host. */
export interface RootWanted extends Omit<RootRequest, "owners"> {
  /** See RootOwnership. */
  readonly owners: RootOwners | "pick" | undefined;
  /** If owners are mapped: the files' own ID that becomes ID 0; 0 if absent. */
  readonly source?: number;
}

/** A root that was made. */
export interface MadeRoot {
  readonly path: string;
  /** An empty directory of the driver's: what is mounted there is detached when the root is removed. */
  readonly scratch: string;
  /** The host's user ID for the container's root. */
  readonly owner: number;
  /** The range of user IDs that was picked for the container, if one was. */
  readonly picked?: RootOwners;
}

/** The roots that the driver makes itself, in the image store: each is found by its machine's name, and removed by it. */
export class ContainerRoots implements MachineResource {
  readonly #ranges = new IdRanges();
  readonly #shares = new ImageShares();

  constructor(private readonly images: Pick<OciImages, "store" | "scheduleGc">) {}

  /** Why no root can be made, as a sentence: the image store cannot be opened. Undefined if it can. */
  async problem(): Promise<string | undefined> {
    try {
      await this.images.store.open();
      return undefined;
    } catch (error) {
      if (error instanceof StoreError) return error.message;
      throw error;
    }
  }

  /**
   * Mounts a disk image for roots that show it. Close it when the root is made.
   *
   * @throws DiskError if that is not possible, or a container may write to the image
   */
  async openDisk(image: DiskImage): Promise<MountedDisk> {
    using lock = shareImage(image.path);
    if (lock === undefined) throw new DiskError("a container that may write to it is running");
    return await this.images.store.openDisk(image);
  }

  /**
   * Makes the root of a registered machine.
   *
   * @throws OverlayError if the kernel or a file system cannot, DiskError, StoreError, LaunchError; nothing is left then
   */
  async make({ owners, source = 0, ...request }: RootWanted): Promise<MadeRoot> {
    const { store } = this.images;
    const { machine, base } = request;
    const directory = store.containerDirectory(machine);
    writeRootNote(machine, directory);
    try {
      if (base.kind === "disk" && !this.#shares.hold(machine, base.disk.path)) {
        throw new DiskError("a container that may write to it has just been started");
      }
      const picked =
        owners === "pick" ? { first: await this.#ranges.pick(machine), count: CONTAINER_IDS.count } : undefined;
      const range = owners === "pick" ? picked : owners;
      const chosen = range === undefined ? undefined : { ...range, source };
      const path = await store.prepareSnapshot({ ...request, owners: chosen });
      const { scratch } = containerPaths(directory);
      return { path, scratch, owner: chosen?.first ?? 0, ...(picked === undefined ? {} : { picked }) };
    } catch (error) {
      // If the directory could not be removed, the notes stay: release() tries again.
      if (!existsSync(directory)) {
        this.#shares.release(machine);
        await this.#ranges.release(machine);
        removeRootNote(machine);
      }
      throw error;
    }
  }

  /** The config of the stored image below a machine's root; undefined if that has none or is not known any more. */
  async configOf(machine: string): Promise<ImageConfig | undefined> {
    const root = readRootNote(machine);
    const image = root === undefined ? undefined : await imageOfRoot(root);
    return image === undefined ? undefined : parseImageConfig(image.configText, `of machine ${machine}`);
  }

  /** Whether the kernel limits the changes of roots that are made now, so that they need not be measured. */
  async hasQuotas(): Promise<boolean> {
    return enforcesProjectQuotas((await this.images.store.open()).containers);
  }

  /**
   * The directories with the changes of a machine to its root, if their limit needs a watch: none if it has no root of the driver's, if
   * the kernel limits them, or if they are in memory.
   */
  async changesOf(machine: string): Promise<readonly string[]> {
    const root = readRootNote(machine);
    if (root === undefined) return [];
    const { upper, parts } = containerPaths(root);
    return isLimitedByQuota(upper) ? [] : [upper, parts].filter((path) => existsSync(path));
  }

  /** Holds the user IDs and the disk image of a recovered machine; logs a warning if another program uses them by now. */
  async recover(machine: string, log: Pick<Logger, "warn">): Promise<void> {
    if (!(await this.#ranges.recover(machine))) {
      log.warn("another program uses the user IDs of a recovered container", { machine });
    }
    const root = readRootNote(machine);
    const { disk, directory: image } = (root === undefined ? undefined : await containerOfRoot(root)) ?? {};
    if (disk === undefined || image === undefined || !existsSync(image) || this.#shares.hold(machine, image)) return;
    log.warn("another container may write to the disk image of a recovered container", { machine, image });
  }

  async release(machine: string): Promise<void> {
    const root = readRootNote(machine);
    if (root === undefined) return;
    await releaseRoot(root);
    this.#shares.release(machine);
    await this.#ranges.release(machine);
    removeRootNote(machine);
    this.images.scheduleGc();
  }
}
