import { stat } from "node:fs/promises";
import { join } from "node:path";
import { mountTargets } from "../config/combinations";
import type { TaskOptions } from "../config/task/options";
import { DiskError, type DiskImage } from "../image/disk/dissect";
import type { RootBase } from "../image/store/snapshots";
import { ConfigError } from "../lib/errors";
import { mountPoints } from "../linux/mount";
import { OverlayError } from "../linux/overlay";
import { openTree, readInTree } from "../linux/rooted-path";
import { imagePolicy } from "../nspawn/image-policy";
import { MACHINE_ID_PATH } from "../nspawn/machine-id";
import { namespaced } from "../values/private-users";
import { completeRoot, isWritable } from "./complete-root";
import type { ContainerRoots } from "./container-roots";
import { type DirectoryFacts, type HostRootPlan, hostRootPlan } from "./host-root-plan";
import { missingInImage, refuseMissingMountPoints } from "./mount-points";
import { osTreeProblem } from "./os-tree";
import { hostUser } from "./payload-user";
import { refuseForeignProgram } from "./program-platform";
import type { ResolvedImage } from "./resolve-image";
import { pickedUsers, refuseVolatileMapped } from "./root-ownership";
import type { Rootfs, RootfsRequest } from "./rootfs";
import { showRun } from "./run-directory";

const HOSTS = "/etc/hosts";

/** The files below a root that the driver makes on an image of the host. */
type HostBase = Exclude<RootBase, { readonly kind: "image" }>;

/**
 * Makes the root of a machine from an image of the host. One that the task does not change is the lower layer of a root that the driver
 * makes: a directory itself, and a disk image as it is mounted for reading. systemd-nspawn gets everything else unchanged.
 *
 * @throws ConfigError, StoreError, LaunchError
 */
export function mountHostImage(place: ResolvedImage, request: RootfsRequest, roots: ContainerRoots): Promise<Rootfs> {
  if (place.kind === "directory") return mountDirectory(place, request, roots);
  return place.kind === "image" ? mountDisk(place, request, roots) : mountUnchanged(place, request);
}

/** Refuses a directory that systemd-nspawn would not start. @throws ConfigError */
export async function refuseNoSystem(directory: string, { boot, pivot_root }: TaskOptions): Promise<void> {
  const problem = await osTreeProblem(directory, { boot, pivotRoot: pivot_root?.newRoot });
  if (problem !== undefined) throw new ConfigError(problem);
}

async function mountDirectory(place: ResolvedImage, request: RootfsRequest, roots: ContainerRoots): Promise<Rootfs> {
  const plan = hostRootPlan(request.options, await directoryFacts(place.path));
  if (plan === undefined) return mountUnchanged(place, request);
  const otherwise = async (why: string) => {
    const slow = `The image ${place.path} is copied, or the owners of its files are changed. ${why}`;
    return withNote(await mountUnchanged(place, request), slow);
  };
  const problem = await roots.problem();
  if (problem !== undefined) return otherwise(problem);
  try {
    return await mountOwn({ kind: "directory", path: place.path }, plan, request, roots);
  } catch (error) {
    if (!(error instanceof OverlayError)) throw error;
    return otherwise(`No overlay can be mounted on it: ${error.message}.`);
  }
}

/** Only what separates the task's changes from the image decides here: its root directory is not known yet. */
const ANY_ROOT: DirectoryFacts = { uid: 0, gid: 0, mountsBelow: false };

async function mountDisk(place: ResolvedImage, request: RootfsRequest, roots: ContainerRoots): Promise<Rootfs> {
  const { options } = request;
  if (hostRootPlan(options, ANY_ROOT) === undefined) return mountUnchanged(place, request);
  const otherwise = async (why: string) => {
    const rootfs = await mountUnchanged(place, request);
    const slow = slowness(options);
    return slow === undefined ? rootfs : withNote(rootfs, `The disk image ${place.path} ${slow}. ${why}`);
  };
  const problem = await roots.problem();
  if (problem !== undefined) return otherwise(problem);
  try {
    await using disk = await roots.openDisk(diskImage(place.path, request));
    const { uid, gid } = await stat(disk.root);
    // What is mounted below it gets overlays of its own.
    const plan = hostRootPlan(options, { uid, gid, mountsBelow: false });
    if (plan === undefined) return await mountUnchanged(place, request);
    await refuseNoSystem(disk.root, options);
    return await mountOwn({ kind: "disk", disk }, { ...plan, options: withoutVerity(plan.options) }, request, roots);
  } catch (error) {
    if (error instanceof DiskError) return otherwise(`It cannot be shown as a layer: ${error.message}.`);
    if (error instanceof OverlayError) return otherwise(`No overlay can be mounted on it: ${error.message}.`);
    throw error;
  }
}

function diskImage(path: string, { options, features }: RootfsRequest): DiskImage {
  const { root_hash: rootHash, root_hash_signature: rootHashSignature, verity_data: verityData } = options;
  return { path, rootHash, rootHashSignature, verityData, imagePolicy: imagePolicy(options, features) };
}

/** The options without those of disk images: the root is a directory. */
function withoutVerity(options: TaskOptions): TaskOptions {
  const none = {
    root_hash: undefined,
    root_hash_signature: undefined,
    verity_data: undefined,
    image_policy: undefined,
  };
  return { ...options, ...none };
}

/** What it costs that systemd-nspawn makes the root from a disk image; undefined if it costs nothing. */
function slowness(options: TaskOptions): string | undefined {
  if (options.ephemeral) return "is copied";
  return options.volatile === "overlay" && namespaced(options) ? "is copied into memory, file by file" : undefined;
}

/** Makes the root of a task from an image that the task does not change. @throws OverlayError, DiskError, and what mount() throws */
async function mountOwn(
  base: HostBase,
  { options: planned, ...wanted }: HostRootPlan,
  { machine, mounts, features, storageLimit }: RootfsRequest,
  roots: ContainerRoots,
): Promise<Rootfs> {
  refuseVolatileMapped(planned, features);
  const { path, scratch, owner, picked } = await roots.make({ ...wanted, machine, base, limit: storageLimit });
  const options = pickedUsers(planned, picked);
  using tree = openTree(path);
  if (options.pivot_root === undefined) refuseForeignProgram(tree, options);
  await completeRoot(tree, { owner, options, mounts });
  const run = showRun(path, scratch, { options, mounts });
  const payload = hostUser({ tree, options });
  const { user = { uid: 0, gid: 0 } } = payload;
  const logOwner = { uid: owner + user.uid, gid: owner + user.gid };
  const image = { kind: "directory", path: base.kind === "disk" ? base.disk.root : base.path } as const;
  return {
    ...payload,
    image: { kind: "directory", path },
    mounts: [...mounts, ...run.mounts],
    links: run.links,
    ...(logOwner.uid === 0 ? {} : { logOwner }),
    tmp: isWritable(options) ? "disk" : "tmpfs",
    warnings: run.warnings,
    hosts: { text: imageFile(image, options, HOSTS), keep: false },
    machineId: imageFile(image, options, MACHINE_ID_PATH),
    canMountAt: async () => true,
  };
}

/** The text of a file that the container sees of a directory; "" if it does not exist, or cannot be known. */
function imageFile({ kind, path }: ResolvedImage, options: RootfsRequest["options"], file: string): string {
  // With volatile = "yes" only /usr is the image's.
  if (kind !== "directory" || options.volatile === "yes") return "";
  using tree = openTree(path);
  return readInTree(tree, join(options.pivot_root?.newRoot ?? "/", file));
}

/** A root that systemd-nspawn makes, although that takes longer. */
function withNote(rootfs: Rootfs, slow: string): Rootfs {
  return { ...rootfs, warnings: [...rootfs.warnings, slow] };
}

async function directoryFacts(path: string): Promise<DirectoryFacts> {
  const { uid, gid } = await stat(path);
  const below = path === "/" ? path : `${path}/`;
  return { uid, gid, mountsBelow: mountPoints(below).some((point) => point !== path) };
}

async function mountUnchanged(place: ResolvedImage, { options, mounts, features }: RootfsRequest): Promise<Rootfs> {
  if (options.storage_limit !== undefined) {
    throw new ConfigError(
      `Option storage_limit is not possible for the image ${JSON.stringify(options.image)}: systemd-nspawn makes the root, and the driver limits only roots that it makes itself (docs/images.md).`,
    );
  }
  refuseVolatileMapped(options, features);
  const targets = [...mounts.map(({ target }) => target), ...mountTargets(options).map(([, target]) => target)];
  await refuseMissingMountPoints(place, options, targets);
  using open = new DisposableStack();
  const tree = place.kind === "directory" ? open.use(openTree(place.path)) : undefined;
  if (tree !== undefined && options.pivot_root === undefined) refuseForeignProgram(tree, options);
  const hosts = imageFile(place, options, HOSTS);
  return {
    ...hostUser({ tree, options }),
    image: place,
    // What a disk image contains is not known here.
    hosts: { text: hosts, keep: hosts !== "" || place.kind !== "directory" },
    machineId: imageFile(place, options, MACHINE_ID_PATH),
    mounts,
    tmp: "tmpfs",
    warnings: [],
    canMountAt: async (path) => (await missingInImage(place, options, [path])) === undefined,
  };
}
