import { closeSync } from "node:fs";
import { chmod, chown, mkdir, readdir, rm, stat } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { ignoreMissing, isDiskFull, StoreError } from "../../lib/errors";
import { getAttribute, setAttribute } from "../../linux/files";
import { detachMount, MountError, mount, mountCopy } from "../../linux/mount";
import { mountOverlay, OverlayError, unmountAll } from "../../linux/overlay";
import { bootId } from "../../linux/proc";
import { openUserNamespace } from "../../linux/user-namespace";
import { liftQuota, limitByQuota } from "./changes-quota";
import { addUser, type MountedDisk, removeUnusedDisks, removeUser } from "./disks";
import { layerDirectory } from "./layers";
import {
  containerPaths,
  layerPaths,
  readContainer,
  type StoredContainer,
  type StoredImage,
  type StorePaths,
  storePaths,
  writeRecord,
} from "./store-format";

/** The owner IDs for the files of a container's root. */
export interface RootOwners {
  /** The host's ID for ID 0. */
  readonly first: number;
  readonly count: number;
  /** The files' own ID that becomes ID 0; 0 if absent. */
  readonly source?: number;
}

/**
 * The files of a root that are never written: a stored image's layers, a directory of the host (absolute, without symlinks), or a disk
 * that is open.
 */
export type RootBase =
  | { readonly kind: "image"; readonly image: StoredImage }
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "disk"; readonly disk: MountedDisk };

/** The parts of a container's root. */
export interface RootRequest {
  readonly machine: string;
  readonly base: RootBase;
  /** Where the container's changes go: to the store's disk, or to memory, with the limits that systemd-nspawn has for `--volatile=`. */
  readonly writes: "disk" | "memory";
  /**
   * Bytes that changes may take: on disk only if its file system can limit them (changes-quota.ts); in memory {@link MEMORY_PART} of the
   * host's memory if undefined.
   */
  readonly limit?: number | undefined;
  /** Undefined to keep the image's owners. */
  readonly owners?: RootOwners | undefined;
}

/** The directory of a container. */
export function containerDirectory(paths: StorePaths, machine: string): string {
  return join(paths.containers, machine);
}

/** TMPFS_LIMITS_ROOTFS of systemd (mountpoint-util.h): a quarter of the host's memory. */
const MEMORY_PART = 0.25;
const MEMORY_INODES = "nr_inodes=1m";

/**
 * Prepares a container's root: the files of its image below, an empty directory for writes on top.
 *
 * @returns the root's path
 * @throws OverlayError if the kernel cannot, and StoreError; nothing is left then
 */
export async function prepareSnapshot(paths: StorePaths, request: RootRequest): Promise<string> {
  const { machine, base, owners, writes } = request;
  const directory = containerDirectory(paths, machine);
  const { record, scratch, root } = containerPaths(directory);
  const layers = layersOf(paths, base);
  await removeRoot(directory);
  const namespace =
    owners === undefined ? undefined : await openUserNamespace(owners.first, owners.count, owners.source);
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
      ...usedBy(base),
      bootId: bootId(),
      firstId: owners?.first ?? 0,
    });
    if (base.kind === "disk") await addUser(paths, base.disk.name, machine);
    for (const path of [scratch, root]) await mkdir(path, { mode: 0o700 });
    const memory = writes === "memory" ? join(scratch, MEMORY) : undefined;
    if (memory !== undefined) await mountMemory(memory, request.limit);
    const { upper, work, parts } = containerPaths(memory ?? directory);
    const changes = [upper, work, ...(base.kind === "disk" && base.disk.parts.length > 0 ? [parts] : [])] as const;
    for (const path of changes) await mkdir(path, { mode: 0o700 });
    if (memory === undefined && request.limit !== undefined) {
      await limitByQuota({ machine, directories: changes, limit: request.limit });
    }
    await copyMode(upper, layers.at(-1), base.kind === "image" ? ROOT : undefined, owners);
    await mountOverlay({ layers, upper, work, scratch, target: root, owners: namespace });
    if (base.kind === "disk") await mountParts(base.disk, { root, scratch, parts, namespace, owners });
    // The overlay keeps it mounted for itself.
    if (memory !== undefined) detachMount(memory);
    return root;
  } catch (error) {
    await removeRoot(directory);
    if (error instanceof MountError) throw new OverlayError(error.message, { owners: false, cause: error });
    if (!isDiskFull(error)) throw error;
    throw new StoreError("The image store's disk is full: cannot create the container's root.", {
      recoverable: true,
      cause: error,
    });
  } finally {
    if (namespace !== undefined) closeSync(namespace);
  }
}

/** What the container's record says of its image. */
function usedBy(base: RootBase): Pick<StoredContainer, "image" | "directory" | "disk"> {
  if (base.kind === "image") return { image: base.image.digest };
  return base.kind === "directory" ? { directory: base.path } : { directory: base.disk.path, disk: base.disk.name };
}

/** The directories to stack, from the lowest up. If a layer occurs twice, the upper one suffices: it hides the lower one completely, and the kernel rejects both. */
function layersOf(paths: StorePaths, base: RootBase): readonly string[] {
  if (base.kind === "directory") return [base.path];
  if (base.kind === "disk") return [base.disk.root];
  const { diffIds } = base.image;
  const layers = diffIds.filter((diffId, index) => diffIds.lastIndexOf(diffId) === index);
  return layers.map((diffId) => layerPaths(layerDirectory(paths, diffId)).files);
}

/** In `scratch`, so that removeRoot() detaches it if this process is killed before it does so itself. */
const MEMORY = "memory";

async function mountMemory(place: string, limit = Infinity): Promise<void> {
  await mkdir(place, { mode: 0o700 });
  const size = Math.min(limit, Math.floor(totalmem() * MEMORY_PART));
  mount("tmpfs", place, "tmpfs", `mode=0700,size=${size},${MEMORY_INODES}`);
}

const LABEL = "security.selinux";

/** The root directory of a stored image always belongs to root. */
const ROOT = { uid: 0, gid: 0 } as const;

/**
 * The upper directory becomes the directory that it is mounted on: it gets mode, owner and label of the image's. systemd-nspawn checks the
 * owner of the root, and takes the IDs of a container from it.
 *
 * @param top the uppermost directory below it
 * @param owner undefined for that of `top`
 */
async function copyMode(
  upper: string,
  top: string | undefined,
  owner: { readonly uid: number; readonly gid: number } | undefined,
  owners: RootOwners | undefined,
): Promise<void> {
  const { first, source = 0 } = owners ?? { first: 0 };
  const found = top === undefined ? undefined : await stat(top);
  const { uid, gid } = owner ?? found ?? ROOT;
  await chown(upper, uid - source + first, gid - source + first);
  await chmod(upper, (found?.mode ?? 0o755) & 0o7777);
  const label = top === undefined ? undefined : getAttribute(top, LABEL);
  if (label !== undefined) setAttribute(upper, LABEL, label);
}

/** Where the parts of a disk are mounted, and where their changes go. */
interface PartsRequest extends Pick<RootRequest, "owners"> {
  readonly root: string;
  readonly scratch: string;
  readonly parts: string;
  readonly namespace: number | undefined;
}

/**
 * Mounts an overlay on each part of a disk in a container's root. A file system that cannot be below an overlay, such as the FAT of an
 * EFI partition, is mounted for reading.
 */
async function mountParts(disk: MountedDisk, { root, scratch, parts, namespace, owners }: PartsRequest): Promise<void> {
  for (const [index, part] of disk.parts.entries()) {
    const [lower, target] = [join(disk.root, part), join(root, part)];
    const directory = join(parts, String(index));
    const { upper, work } = containerPaths(directory);
    for (const path of [directory, upper, work]) await mkdir(path, { mode: 0o700 });
    await copyMode(upper, lower, undefined, owners);
    try {
      await mountOverlay({ layers: [lower], upper, work, scratch, target, owners: namespace });
    } catch (error) {
      if (!(error instanceof OverlayError)) throw error;
      mountCopy(lower, target, namespace);
    }
  }
}

/**
 * Removes a container's root, mounted or not, and the data written to it; does nothing if it does not exist.
 *
 * @returns its record, if it had one
 */
export async function removeRoot(directory: string): Promise<StoredContainer | undefined> {
  const { record, root, scratch, upper } = containerPaths(directory);
  const names = await readdir(directory).catch(ignoreMissing);
  if (names === undefined) return undefined;
  const container = await readContainer(record);
  for (const name of (await readdir(scratch).catch(ignoreMissing)) ?? []) detachMount(join(scratch, name));
  await unmountAll(root, directory);
  liftQuota(upper);
  await rm(directory, { recursive: true, force: true });
  if (container?.disk !== undefined) await removeUser(storeOf(directory), container.disk, container.machine);
  return container;
}

/** The store of a container's directory. */
export function storeOf(directory: string): StorePaths {
  return storePaths(dirname(dirname(directory)));
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
  await removeUnusedDisks(paths);
}
