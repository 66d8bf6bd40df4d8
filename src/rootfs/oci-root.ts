import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { mountTargets } from "../config/combinations";
import type { TaskOptions } from "../config/task/options";
import { programPaths } from "../exec/session-plan";
import type { ImageStore } from "../image/store/image-store";
import type { RootOwners } from "../image/store/snapshots";
import type { StoredImage } from "../image/store/store-format";
import { ConfigError, StoreError } from "../lib/errors";
import { OverlayError } from "../linux/overlay";
import { createInTree, existsInTree, openTree, readInTree, type TreeRoot } from "../linux/rooted-path";
import { writeMachineProgram } from "../machine/files";
import type { TaskMount } from "../nspawn/arguments";
import { type ContainerUser, findUser } from "../values/passwd";
import { CONTAINER_IDS, chooseRange } from "../values/private-users";
import { osTreeProblem } from "./os-tree";
import { rootOwnership } from "./root-ownership";
import type { Rootfs, RootfsRequest } from "./rootfs";
import { asUserProgram } from "./user-wrapper";

/** Path, in the container, of the program that switches to the task's user. */
const PROGRAM = "/run/nomad-driver-nspawn/as-user";
/** systemd-nspawn's locks of ID ranges, one file per range (nspawn.c, uid_shift_pick()). */
const RANGE_LOCKS = "/run/systemd/nspawn-uid";

/** Files that the driver or systemd-nspawn may mount something on. */
const MOUNTED_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"];

/** The inputs of a root on an image of the store. */
interface OciRootRequest extends RootfsRequest {
  readonly store: ImageStore;
  readonly stored: StoredImage;
}

/**
 * Prepares the root of a registered machine on an image of the store, with the directories and files that systemd-nspawn needs in it.
 *
 * @throws ConfigError, StoreError, LaunchError
 */
export async function mountOciRoot(request: OciRootRequest): Promise<Rootfs> {
  const { machine, mounts } = request;
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
  if (options.read_only || options.volatile === "state") await createMountPoints(tree, owner, options, mounts);
  const user = options.user === undefined || options.boot ? undefined : userOf(tree, options.user, options.image);
  const root = { image: { kind: "directory", path }, canMountAt: async () => true, warnings } as const;
  if (user === undefined || user.uid === 0) {
    const logOwner = { uid: owner, gid: owner };
    return { ...root, options: { ...options, user: undefined }, mounts, environment: {}, logOwner };
  }
  const [command = ""] = options.command;
  const program = asUserProgram(user, programPaths(command, options.environment));
  const source = await writeMachineProgram(machine, program);
  return {
    ...root,
    options: { ...options, user: undefined, command: [PROGRAM, ...options.command] },
    mounts: [...mounts, { source, target: PROGRAM, readOnly: true }],
    environment: { HOME: user.home, USER: user.name, LOGNAME: user.name },
    logOwner: { uid: owner + user.uid, gid: owner + user.gid },
  };
}

interface PreparedRoot {
  readonly path: string;
  readonly options: TaskOptions;
  /** The host's user ID that owns the root. */
  readonly owner: number;
  readonly warnings: readonly string[];
}

async function prepareRoot({ store, machine, stored: image, options }: OciRootRequest): Promise<PreparedRoot> {
  const plan = rootOwnership(options);
  const owners = plan.owners === "pick" ? await chooseOwners(store, machine) : plan.owners;
  try {
    const path = await store.prepareSnapshot({ machine, image, owners });
    return { path, options: plan.options, owner: owners?.first ?? 0, warnings: [] };
  } catch (error) {
    if (!(error instanceof OverlayError)) throw error;
    const fixed = options.private_users_ownership === "map" || options.read_only;
    if (!error.owners || fixed || (options.volatile ?? "no") !== "no") {
      throw new StoreError(
        `Cannot create the root filesystem of the image ${JSON.stringify(options.image)}: ${error.message}.${error.owners ? " Set user_namespacing = false, or use a newer kernel or another file system for image_store." : ""}`,
        { recoverable: false, cause: error },
      );
    }
    const path = await store.prepareSnapshot({ machine, image, owners: undefined });
    return {
      path,
      options: { ...options, private_users_ownership: "chown" },
      owner: 0,
      warnings: [
        `The image's files were copied to change their owners, because they cannot be ID-mapped: ${error.message}.`,
      ],
    };
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

/** In a read-only root systemd-nspawn cannot create them. */
async function createMountPoints(
  tree: TreeRoot,
  owner: number,
  options: TaskOptions,
  mounts: readonly TaskMount[],
): Promise<void> {
  for (const { source, target } of mounts) {
    const directory = (await stat(source)).isDirectory();
    if (!existsInTree(tree, target)) createInTree(tree, target, directory ? "directory" : "file", owner);
  }
  for (const target of MOUNTED_FILES) if (!existsInTree(tree, target)) createInTree(tree, target, "file", owner);
  for (const [, target] of mountTargets(options)) {
    if (!existsInTree(tree, target)) createInTree(tree, target, "directory", owner);
  }
}

function userOf(tree: TreeRoot, name: string, image: string): ContainerUser {
  const user = findUser(name, readInTree(tree, "/etc/passwd"), readInTree(tree, "/etc/group"));
  if (user !== undefined) return user;
  throw new ConfigError(
    `The user ${JSON.stringify(name)} does not exist in the image ${JSON.stringify(image)}: its /etc/passwd or /etc/group has no such name. Numeric IDs need no entry.`,
  );
}
