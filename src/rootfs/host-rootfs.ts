import { stat } from "node:fs/promises";
import { join } from "node:path";
import { mountTargets } from "../config/combinations";
import type { PluginOptions } from "../config/plugin/options";
import { ConfigError } from "../lib/errors";
import { mountPoints } from "../linux/mount";
import { OverlayError } from "../linux/overlay";
import { openTree, readInTree } from "../linux/rooted-path";
import { MACHINE_ID_PATH } from "../nspawn/machine-id";
import { completeRoot, isWritable } from "./complete-root";
import type { ContainerRoots } from "./container-roots";
import { type DirectoryFacts, hostRootPlan } from "./host-root-plan";
import type { MachineImages } from "./machine-images";
import { missingInImage, refuseMissingMountPoints } from "./mount-points";
import { refuseMountStack } from "./mount-stack";
import { osTreeProblem } from "./os-tree";
import { hostUser } from "./payload-user";
import { refuseForeignProgram } from "./program-platform";
import { type ResolvedImage, resolveImage } from "./resolve-image";
import { pickedUsers, refuseVolatileMapped } from "./root-ownership";
import type { ImageLease, PullWatch, Rootfs, RootfsProvider, RootfsRequest } from "./rootfs";
import { showRun } from "./run-directory";
import { refuseTemplatePlace } from "./template";
import { verityFiles } from "./verity-files";

const HOSTS = "/etc/hosts";

/** The dependencies of roots from host images. */
interface HostRootfsContext {
  /** The current plugin config. */
  readonly options: () => PluginOptions;
  /** Base of relative image paths. */
  readonly pluginDir: string;
  readonly roots: ContainerRoots;
  readonly images: MachineImages;
}

/**
 * Roots from directories, disk images and devices of this host. A directory that the task does not change is the lower layer of a root
 * that the driver makes; systemd-nspawn gets everything else unchanged.
 */
export class HostRootfs implements RootfsProvider {
  constructor(private readonly context: HostRootfsContext) {}

  async check({ options }: RootfsRequest): Promise<void> {
    refuseUnlimited(options);
    refuseTemplatePlace(options);
    await this.context.images.check(options);
  }

  async acquire(
    { options, image: origin }: RootfsRequest,
    { signal, onProgress }: Pick<PullWatch, "signal" | "onProgress">,
  ): Promise<ImageLease> {
    const { image } = options;
    const { roots, images } = this.context;
    using held = new DisposableStack();
    held.use(await images.lease(options, signal));
    await images.provide(options, { signal, onProgress: (progress) => onProgress({ image, ...progress }) });
    await images.provideFromTemplate(options, signal);
    const inTask = origin.kind === "host" ? origin.inTask : undefined;
    const place = await this.#find(options, inTask);
    const { options: plugin, pluginDir } = this.context;
    const verity = await verityFiles(options, place, { pluginDir, imagePaths: plugin().image_paths });
    const kept = held.move();
    return {
      config: undefined,
      mount: async (job) => {
        if (place.kind === "mstack") refuseMountStack(job.options, job.features, inTask !== undefined);
        const asked = { ...job, options: { ...job.options, ...verity } };
        const request = inTask === undefined || place.kind !== "directory" ? asked : keptUnchanged(asked);
        const rootfs = await (place.kind === "directory" ? mountDirectory : mountUnchanged)(place, request, roots);
        const { ephemeral } = request.options;
        const written = rootfs.image.path === place.path && !ephemeral && isWritable(request.options);
        if (written) await images.markWritten(place.path, request.allocation);
        return rootfs;
      },
      [Symbol.dispose]: () => kept.dispose(),
    };
  }

  /** @param inTask where the image is in the task's directory, to which image_paths does not apply */
  async #find(
    { image, boot, pivot_root }: RootfsRequest["options"],
    inTask: string | undefined,
  ): Promise<ResolvedImage> {
    const { options, pluginDir } = this.context;
    const imagePaths = inTask === undefined ? options().image_paths : [];
    const place = await resolveImage(inTask ?? image, { pluginDir, imagePaths });
    if (place.kind === "directory") {
      const problem = await osTreeProblem(place.path, { boot, pivotRoot: pivot_root?.newRoot });
      if (problem !== undefined) throw new ConfigError(problem);
    }
    return place;
  }
}

/**
 * A root directory in the task's directory stays as it is: the container sees it a second time below /local, where systemd-nspawn cannot map
 * the owners of a tree that contains the mounted root (EBUSY).
 */
function keptUnchanged(request: RootfsRequest): RootfsRequest {
  const { options } = request;
  return isWritable(options) ? { ...request, options: { ...options, ephemeral: true } } : request;
}

async function mountDirectory(place: ResolvedImage, request: RootfsRequest, roots: ContainerRoots): Promise<Rootfs> {
  const { machine, mounts } = request;
  const plan = hostRootPlan(request.options, await directoryFacts(place.path));
  if (plan === undefined) return mountUnchanged(place, request);
  const { options: planned, ...wanted } = plan;
  refuseVolatileMapped(planned, request.features);
  const problem = await roots.problem();
  if (problem !== undefined) return withNote(await mountUnchanged(place, request), problem);
  try {
    const base = { kind: "directory", path: place.path } as const;
    const { path, scratch, owner, picked } = await roots.make({
      ...wanted,
      machine,
      base,
      limit: request.storageLimit,
    });
    const options = pickedUsers(planned, picked);
    using tree = openTree(path);
    if (options.pivot_root === undefined) refuseForeignProgram(tree, options);
    await completeRoot(tree, { owner, options, mounts });
    const run = showRun(path, scratch, { options, mounts });
    const payload = hostUser({ tree, options });
    const { user = { uid: 0, gid: 0 } } = payload;
    const logOwner = { uid: owner + user.uid, gid: owner + user.gid };
    return {
      ...payload,
      image: { kind: "directory", path },
      mounts: [...mounts, ...run.mounts],
      links: run.links,
      ...(logOwner.uid === 0 ? {} : { logOwner }),
      tmp: isWritable(options) ? "disk" : "tmpfs",
      warnings: run.warnings,
      hosts: { text: imageFile(place, options, HOSTS), keep: false },
      machineId: imageFile(place, options, MACHINE_ID_PATH),
      canMountAt: async () => true,
    };
  } catch (error) {
    if (!(error instanceof OverlayError)) throw error;
    return withNote(await mountUnchanged(place, request), `No overlay can be mounted on it: ${error.message}.`);
  }
}

/** The text of a file that the container sees of a directory; "" if it does not exist, or cannot be known. */
function imageFile({ kind, path }: ResolvedImage, options: RootfsRequest["options"], file: string): string {
  // With volatile = "yes" only /usr is the image's.
  if (kind !== "directory" || options.volatile === "yes") return "";
  using tree = openTree(path);
  return readInTree(tree, join(options.pivot_root?.newRoot ?? "/", file));
}

/** Refuses a limit of changes that reach the image, where nothing separates them from it. @throws ConfigError */
function refuseUnlimited({ image, storage_limit, ...options }: RootfsRequest["options"]): void {
  const { ephemeral, read_only, volatile } = options;
  if (storage_limit === undefined || ephemeral || read_only || volatile === "overlay") return;
  throw new ConfigError(
    `Option storage_limit is not possible for the image ${JSON.stringify(image)}, which the task changes itself: set ephemeral = true, or volatile = "overlay".`,
  );
}

/** A root that systemd-nspawn makes, although that takes longer. */
function withNote(rootfs: Rootfs, why: string): Rootfs {
  const slow = `The image ${rootfs.image.path} is copied, or the owners of its files are changed. ${why}`;
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
