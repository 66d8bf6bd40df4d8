import { existsSync } from "node:fs";
import { type ImageConfig, parseImageConfig } from "../image/image-config";
import { type ImageStore, imageOfRoot, releaseRoot } from "../image/store/image-store";
import type { RootOwners, RootRequest } from "../image/store/snapshots";
import { containerPaths } from "../image/store/store-format";
import { StoreError } from "../lib/errors";
import { readRootNote, removeRootNote, writeRootNote } from "../machine/files";
import type { MachineResource } from "../machine/registry";
import { CONTAINER_IDS, chooseRange } from "../values/private-users";
import type { OciImages } from "./oci-images";

/** systemd-nspawn's locks of ID ranges, one file per range (nspawn.c, uid_shift_pick()). */
const RANGE_LOCKS = "/run/systemd/nspawn-uid";

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
}

/** The roots that the driver makes itself, in the image store: each is found by its machine's name, and removed by it. */
export class ContainerRoots implements MachineResource {
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
    const range = owners === "pick" ? await chooseOwners(store, machine) : owners;
    const chosen = range === undefined ? undefined : { ...range, source };
    const directory = store.containerDirectory(machine);
    await writeRootNote(machine, directory);
    try {
      const path = await store.prepareSnapshot({ ...request, owners: chosen });
      return { path, scratch: containerPaths(directory).scratch, owner: chosen?.first ?? 0 };
    } catch (error) {
      // If the directory could not be removed, the note stays: release() tries again.
      if (!existsSync(directory)) await removeRootNote(machine);
      throw error;
    }
  }

  /** The config of the stored image below a machine's root; undefined if that has none or is not known any more. */
  async configOf(machine: string): Promise<ImageConfig | undefined> {
    const root = await readRootNote(machine);
    const image = root === undefined ? undefined : await imageOfRoot(root);
    return image === undefined ? undefined : parseImageConfig(image.configText, `of machine ${machine}`);
  }

  /** The directory with the changes of a machine to its root; undefined if it has no root of the driver's. */
  async changesOf(machine: string): Promise<string | undefined> {
    const root = await readRootNote(machine);
    return root === undefined ? undefined : containerPaths(root).upper;
  }

  async release(machine: string): Promise<void> {
    const root = await readRootNote(machine);
    if (root === undefined) return;
    await releaseRoot(root);
    await removeRootNote(machine);
    this.images.scheduleGc();
  }
}

async function chooseOwners(store: ImageStore, machine: string): Promise<RootOwners> {
  const taken = await store.takenIds();
  const first = chooseRange(machine, (id) => taken.has(id) || existsSync(`${RANGE_LOCKS}/${id}`));
  if (first === undefined) {
    throw new StoreError("This client has no user IDs left for another container with user namespaces.", {
      recoverable: true,
    });
  }
  return { first, count: CONTAINER_IDS.count };
}
