import { closeSync } from "node:fs";
import { chmod, chown, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ignoreMissing, isDiskFull, StoreError } from "../../lib/errors";
import { detachMount } from "../../linux/mount";
import { mountOverlay, OverlayError, unmountAll } from "../../linux/overlay";
import { bootId } from "../../linux/proc";
import { openUserNamespace } from "../../linux/user-namespace";
import { layerDirectory } from "./layers";
import {
  containerPaths,
  layerPaths,
  readContainer,
  type StoredContainer,
  type StoredImage,
  type StorePaths,
  writeRecord,
} from "./store-format";

/** The owner IDs for the files of a container's root. */
export interface RootOwners {
  /** The host's ID for ID 0. */
  readonly first: number;
  readonly count: number;
}

/** The parts of a container's root. */
export interface RootRequest {
  readonly machine: string;
  readonly image: StoredImage;
  /** Undefined to keep the image's owners. */
  readonly owners?: RootOwners | undefined;
}

/** The directory of a container. */
export function containerDirectory(paths: StorePaths, machine: string): string {
  return join(paths.containers, machine);
}

/**
 * Prepares a container's root from an image: the layers below, an empty directory for writes on top.
 *
 * @returns the root's path
 * @throws OverlayError if the kernel cannot, and StoreError; nothing is left then
 */
export async function prepareSnapshot(paths: StorePaths, { machine, image, owners }: RootRequest): Promise<string> {
  const directory = containerDirectory(paths, machine);
  const { record, upper, work, scratch, root } = containerPaths(directory);
  // If a layer occurs twice, the upper one suffices: it hides the lower one completely, and the kernel rejects both.
  const layers = image.diffIds.filter((diffId, index) => image.diffIds.lastIndexOf(diffId) === index);
  const files = layers.map((diffId) => layerPaths(layerDirectory(paths, diffId)).files);
  await removeRoot(directory);
  const namespace = owners === undefined ? undefined : await openUserNamespace(owners.first, owners.count);
  try {
    if (owners !== undefined && namespace === undefined) {
      throw new OverlayError("the host does not allow user namespaces (sysctl user.max_user_namespaces)", {
        owners: true,
      });
    }
    await mkdir(directory, { mode: 0o700 });
    // Written first: garbage collection keeps what it refers to.
    await writeRecord(record, {
      version: 1,
      machine,
      image: image.digest,
      bootId: bootId(),
      firstId: owners?.first ?? 0,
    });
    for (const path of [upper, work, scratch, root]) await mkdir(path, { mode: 0o700 });
    await copyRootMode(upper, files.at(-1), owners?.first ?? 0);
    await mountOverlay({ layers: files, upper, work, scratch, target: root, owners: namespace });
    return root;
  } catch (error) {
    await removeRoot(directory);
    if (!isDiskFull(error)) throw error;
    throw new StoreError("The image store's disk is full: cannot create the container's root.", {
      recoverable: true,
      cause: error,
    });
  } finally {
    if (namespace !== undefined) closeSync(namespace);
  }
}

/** The upper directory becomes the root directory: it gets the mode of the image's. systemd-nspawn checks its owner. */
async function copyRootMode(upper: string, top: string | undefined, owner: number): Promise<void> {
  const mode = top === undefined ? 0o755 : (await stat(top)).mode & 0o7777;
  await chown(upper, owner, owner);
  await chmod(upper, mode);
}

/** Removes a container's root, mounted or not, and the data written to it; does nothing if it does not exist. */
export async function removeRoot(directory: string): Promise<void> {
  const { root, scratch } = containerPaths(directory);
  const names = await readdir(directory).catch(ignoreMissing);
  if (names === undefined) return;
  for (const name of (await readdir(scratch).catch(ignoreMissing)) ?? []) detachMount(join(scratch, name));
  await unmountAll(root, directory);
  await rm(directory, { recursive: true, force: true });
}

/** The containers of a store, of all agents that use it. */
export async function allContainers(paths: StorePaths): Promise<StoredContainer[]> {
  const found: StoredContainer[] = [];
  for (const machine of await readdir(paths.containers)) {
    const container = await readContainer(containerPaths(containerDirectory(paths, machine)).record);
    if (container !== undefined) found.push(container);
  }
  return found;
}

/**
 * Removes dangling containers: of an earlier boot, or without the files that every container has from before its root
 * is created until after it is removed.
 */
export async function removeStaleRoots(paths: StorePaths, isOwned: (machine: string) => boolean): Promise<void> {
  for (const machine of await readdir(paths.containers)) {
    if (!isOwned(machine)) await removeRoot(containerDirectory(paths, machine));
  }
}
