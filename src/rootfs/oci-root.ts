import type { StoredImage } from "../image/store/store-format";
import { ConfigError, StoreError } from "../lib/errors";
import { OverlayError } from "../linux/overlay";
import { createInTree, existsInTree, openTree, readInTree, type TreeRoot } from "../linux/rooted-path";
import { MACHINE_ID_PATH } from "../nspawn/machine-id";
import { type ContainerUser, findUser } from "../values/passwd";
import { completeRoot, isWritable } from "./complete-root";
import type { ContainerRoots, MadeRoot } from "./container-roots";
import { osTreeProblem } from "./os-tree";
import { pickedUsers, refuseVolatileMapped, rootOwnership } from "./root-ownership";
import type { Rootfs, RootfsRequest } from "./rootfs";

/** As with Docker: what an image's build left in its /etc/hosts names other machines. */
const NO_HOSTS = { text: "", keep: false } as const;

/** The inputs of a root on an image of the store. */
interface OciRootRequest extends RootfsRequest {
  readonly roots: ContainerRoots;
  readonly stored: StoredImage;
}

/**
 * Prepares the root of a registered machine on an image of the store, with the directories and files that systemd-nspawn needs in it.
 *
 * @throws ConfigError, StoreError, LaunchError
 */
export async function mountOciRoot(request: OciRootRequest): Promise<Rootfs> {
  const { mounts } = request;
  const { path, options, owner, warnings } = await prepareRoot(request);
  using tree = openTree(path);
  // systemd-nspawn refuses a tree without /usr, and many images consist of a single program.
  if (!existsInTree(tree, "/usr")) createInTree(tree, "/usr", "directory", owner);
  const problem = await osTreeProblem(path, { boot: options.boot, pivotRoot: options.pivot_root?.newRoot });
  if (problem !== undefined) {
    throw new ConfigError(
      `The image ${JSON.stringify(options.image)} cannot be started with boot = ${options.boot}: ${problem}`,
    );
  }
  if (options.working_directory !== undefined) createInTree(tree, options.working_directory, "directory", owner);
  await completeRoot(tree, { owner, options, mounts });
  const user = options.user === undefined || options.boot ? undefined : userOf(tree, options.user, options.image);
  const tmp = isWritable(options) ? "disk" : "tmpfs";
  const root = {
    image: { kind: "directory", path },
    canMountAt: async () => true,
    hosts: NO_HOSTS,
    machineId: readInTree(tree, MACHINE_ID_PATH),
    tmp,
    warnings,
  } as const;
  if (user === undefined || user.uid === 0) {
    const logOwner = { uid: owner, gid: owner };
    return { ...root, options: { ...options, user: undefined }, mounts, environment: {}, logOwner };
  }
  return {
    ...root,
    options: { ...options, user: undefined },
    mounts,
    user,
    environment: { HOME: user.home, USER: user.name, LOGNAME: user.name },
    logOwner: { uid: owner + user.uid, gid: owner + user.gid },
  };
}

async function prepareRoot(request: OciRootRequest): Promise<MadeRoot & Pick<Rootfs, "options" | "warnings">> {
  const { roots, machine, stored: image, options, features } = request;
  const plan = rootOwnership(options);
  refuseVolatileMapped(plan.options, features);
  const wanted = { machine, base: { kind: "image", image }, writes: "disk" } as const;
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

function userOf(tree: TreeRoot, name: string, image: string): ContainerUser {
  const user = findUser(name, readInTree(tree, "/etc/passwd"), readInTree(tree, "/etc/group"));
  if (user !== undefined) return user;
  throw new ConfigError(
    `The user ${JSON.stringify(name)} does not exist in the image ${JSON.stringify(image)}: its /etc/passwd or /etc/group has no such name. Numeric IDs need no entry.`,
  );
}
