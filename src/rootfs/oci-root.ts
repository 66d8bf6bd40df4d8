import type { ImageConfig } from "../image/image-config";
import type { StoredImage } from "../image/store/store-format";
import { ConfigError, StoreError } from "../lib/errors";
import { OverlayError } from "../linux/overlay";
import { createInTree, existsInTree, openTree, readInTree, writeInTree } from "../linux/rooted-path";
import { MACHINE_ID_PATH } from "../nspawn/machine-id";
import { completeRoot, describeDirectories, isWritable } from "./complete-root";
import type { ContainerRoots, MadeRoot } from "./container-roots";
import { createVolume, imageVolumes, volumesInMemory } from "./image-volumes";
import { osTreeProblem } from "./os-tree";
import { imageUser } from "./payload-user";
import { refuseForeignProgram } from "./program-platform";
import { pickedUsers, refuseVolatileMapped, rootOwnership } from "./root-ownership";
import type { Rootfs, RootfsRequest } from "./rootfs";
import { showRun } from "./run-directory";

/** As with Docker: what an image's build left in its /etc/hosts names other machines. */
const NO_HOSTS = { text: "", keep: false } as const;

/**
 * What systemd-nspawn requires of a tree before it boots it (os-release(5)); for an image with an init system and no distribution, which
 * tools such as buildroot make.
 */
const OS_RELEASE = { path: "/usr/lib/os-release", text: "ID=linux\nNAME=Linux\nPRETTY_NAME=Linux\n" } as const;

/** The inputs of a root on an image of the store. */
interface OciRootRequest extends RootfsRequest {
  readonly roots: ContainerRoots;
  readonly stored: StoredImage;
  readonly config: ImageConfig;
}

/**
 * Prepares the root of a registered machine on an image of the store, with the directories and files that systemd-nspawn needs in it.
 *
 * @throws ConfigError, StoreError, LaunchError
 */
export async function mountOciRoot(request: OciRootRequest): Promise<Rootfs> {
  const volumes = imageVolumes(request.config, request.options, request.mounts);
  const inMemory =
    request.options.image_volumes === "tmpfs" ? volumesInMemory(request.options, volumes.paths) : request.options;
  const { path, scratch, options, owner, warnings } = await prepareRoot({ ...request, options: inMemory });
  using tree = openTree(path);
  describeDirectories(tree, request.stored.implied, owner);
  // systemd-nspawn refuses a tree without /usr, and many images consist of a single program.
  if (!existsInTree(tree, "/usr")) createInTree(tree, "/usr", "directory", owner);
  if (options.boot && (await osTreeProblem(path, { boot: true })) !== undefined)
    writeInTree(tree, OS_RELEASE.path, OS_RELEASE.text, owner);
  const problem = await osTreeProblem(path, { boot: options.boot, pivotRoot: options.pivot_root?.newRoot });
  if (problem !== undefined) {
    throw new ConfigError(
      `The image ${JSON.stringify(options.image)} cannot be started with boot = ${options.boot}: ${problem}`,
    );
  }
  if (options.pivot_root === undefined) refuseForeignProgram(tree, options);
  if (options.working_directory !== undefined) createInTree(tree, options.working_directory, "directory", owner);
  const payload = imageUser(tree, options);
  const { uid, gid } = payload.user ?? { uid: 0, gid: 0 };
  for (const path of volumes.paths) createVolume(tree, { path, uid, gid }, owner);
  await completeRoot(tree, { owner, options, mounts: request.mounts });
  const run = showRun(path, scratch, { options, mounts: request.mounts });
  return {
    ...payload,
    image: { kind: "directory", path },
    mounts: [...request.mounts, ...run.mounts],
    links: run.links,
    canMountAt: async () => true,
    hosts: NO_HOSTS,
    machineId: readInTree(tree, MACHINE_ID_PATH),
    tmp: isWritable(options) ? "disk" : "tmpfs",
    logOwner: { uid: owner + uid, gid: owner + gid },
    warnings: [...warnings, ...volumes.notes, ...run.warnings],
  };
}

async function prepareRoot(request: OciRootRequest): Promise<MadeRoot & Pick<Rootfs, "options" | "warnings">> {
  const { roots, machine, stored: image, options, features } = request;
  const plan = rootOwnership(options);
  refuseVolatileMapped(plan.options, features);
  const wanted = { machine, base: { kind: "image", image }, writes: "disk", limit: request.storageLimit } as const;
  try {
    const made = await roots.make({ ...wanted, owners: plan.owners });
    return { ...made, options: pickedUsers(plan.options, made.picked), warnings: [] };
  } catch (error) {
    if (!(error instanceof OverlayError)) throw error;
    const fixed = options.private_users_ownership === "map" || options.read_only;
    if (!error.owners || fixed || (options.volatile ?? "no") !== "no") {
      throw new StoreError(
        `Cannot create the root filesystem of the image ${JSON.stringify(options.image)}: ${error.message}.${error.owners ? " Set user_namespacing = false, or use a newer kernel or another file system for image_store." : ""}`,
        { recoverable: false, cause: error },
      );
    }
    const made = await roots.make({ ...wanted, owners: undefined });
    return {
      ...made,
      options: { ...options, private_users_ownership: "chown" },
      warnings: [
        `The image's files were copied to change their owners, because they cannot be ID-mapped: ${error.message}.`,
      ],
    };
  }
}
