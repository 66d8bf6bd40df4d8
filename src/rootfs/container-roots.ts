import { existsSync } from "node:fs";
import { type ImageConfig, parseImageConfig } from "../image/image-config";
import { isLimitedByQuota } from "../image/store/changes-quota";
import { imageOfRoot, releaseRoot } from "../image/store/image-store";
import type { RootOwners, RootRequest } from "../image/store/snapshots";
import { containerPaths } from "../image/store/store-format";
import { StoreError } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { enforcesProjectQuotas } from "../linux/project-quota";
import { readRootNote, removeRootNote, writeRootNote } from "../machine/files";
import type { MachineResource } from "../machine/registry";
import { CONTAINER_IDS } from "../values/private-users";
import { IdRanges } from "./id-ranges";
import type { OciImages } from "./oci-images";

/** A root to make, on an image of the store or on a directory of the host. */
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
   * Makes the root of a registered machine.
   *
   * @throws OverlayError if the kernel or a file system cannot, StoreError, LaunchError; nothing is left then
   */
  async make({ owners, source = 0, ...request }: RootWanted): Promise<MadeRoot> {
    const { store } = this.images;
    const { machine } = request;
    const directory = store.containerDirectory(machine);
    writeRootNote(machine, directory);
    try {
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
   * The directory with the changes of a machine to its root, if their limit needs a watch; undefined if it has no root of the driver's, or
   * the kernel limits them.
   */
  async changesOf(machine: string): Promise<string | undefined> {
    const root = readRootNote(machine);
    if (root === undefined) return undefined;
    const { upper } = containerPaths(root);
    return isLimitedByQuota(upper) ? undefined : upper;
  }

  /** Holds the user IDs of a recovered machine; logs a warning if another program uses them by now. */
  async recover(machine: string, log: Pick<Logger, "warn">): Promise<void> {
    if (await this.#ranges.recover(machine)) return;
    log.warn("another program uses the user IDs of a recovered container", { machine });
  }

  async release(machine: string): Promise<void> {
    const root = readRootNote(machine);
    if (root === undefined) return;
    await releaseRoot(root);
    await this.#ranges.release(machine);
    removeRootNote(machine);
    this.images.scheduleGc();
  }
}
