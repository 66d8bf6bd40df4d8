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
import { existsInTree, makeInTree, openTree, readInTree, type TreeRoot } from "../linux/rooted-path";
import { writeContainerProgram } from "../machine/files";
import type { TaskMount } from "../nspawn/arguments";
import { type ContainerUser, findUser } from "../values/passwd";
import { CONTAINER_IDS, chooseRange, containerIds, namespaced } from "../values/private-users";
import { osTreeProblem } from "./os-tree";
import { asUserProgram } from "./user-wrapper";

/** Path in the container of the program that switches to the task's user. */
const PROGRAM = "/run/nomad-driver-nspawn/as-user";
/** systemd-nspawn's locks of ID ranges, one file per range (nspawn.c, uid_shift_pick()). */
const RANGE_LOCKS = "/run/systemd/nspawn-uid";

/** Files that the driver or systemd-nspawn may mount something on. */
const usualFiles = ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"];

/** How the owners of a root's files are mapped to the container's IDs. */
export interface OwnerPlan {
  /** The IDs to which the kernel maps the layers' files; undefined if they are not mapped. */
  readonly owners: RootOwners | "pick" | undefined;
  /** The options with which systemd-nspawn is started then. */
  readonly options: TaskOptions;
}

/**
 * Decides how owners are mapped. systemd-nspawn's own mapping does not work on an overlay, and changing owners there would copy every
 * file: so the layers are ID-mapped before they are stacked, and the root that systemd-nspawn gets already belongs to the container's IDs.
 * When systemd-nspawn picks IDs itself, it takes those of the root if they are free, and holds their lock as long as it runs; if
 * another process was faster, it takes others and changes the owners, which is slow but correct.
 */
export function ownerPlan(options: TaskOptions): OwnerPlan {
  const {
    private_users: users = "pick",
    private_users_ownership: asked = "auto",
    read_only,
    volatile = "no",
  } = options;
  const mapped = asked === "auto" || asked === "map";
  if (!namespaced(options) || !mapped || users === "identity") return { owners: undefined, options };
  if (users === "pick" || users === "yes") {
    // With these it cannot change owners (nspawn.c, verify_arguments()).
    const fixed = read_only || volatile !== "no";
    return {
      owners: "pick",
      options: { ...options, private_users: "pick", private_users_ownership: fixed ? "off" : "chown" },
    };
  }
  const ids = containerIds(options);
  if (ids?.first === undefined) return { owners: undefined, options };
  return { owners: { first: ids.first, count: ids.count }, options: { ...options, private_users_ownership: "off" } };
}

/** Removes the options that are redundant on a stored image: all changes to it are discarded with the container anyway. */
export function withoutCopies(options: TaskOptions): TaskOptions {
  const { volatile } = options;
  return { ...options, ephemeral: false, volatile: volatile === "overlay" ? "no" : volatile };
}

/** What a container's root is created for. */
export interface StoredRootRequest {
  readonly store: ImageStore;
  readonly machine: string;
  readonly image: StoredImage;
  /** Includes the image's defaults. */
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
}

/** A root filesystem for systemd-nspawn. */
export interface StoredRoot {
  readonly path: string;
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
  /** Environment variables that are set unless the job or the image sets them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
  /** The host's user ID of the container's first program. */
  readonly user: { readonly uid: number; readonly gid: number };
}

/**
 * Creates the root of a claimed container from an image of the store.
 *
 * @throws ConfigError, StoreError, LaunchError
 */
export async function makeStoredRoot(request: StoredRootRequest): Promise<StoredRoot> {
  const { machine, mounts } = request;
  const { path, options, owner, notes } = await stack(request);
  using tree = openTree(path);
  // systemd-nspawn rejects a root without /usr, and many images contain only one program.
  if (!existsInTree(tree, "/usr")) makeInTree(tree, "/usr", "directory", owner);
  const problem = await osTreeProblem(path, { boot: options.boot, pivotRoot: options.pivot_root?.newRoot });
  if (problem !== undefined) {
    throw new ConfigError(
      `The image ${JSON.stringify(options.image)} cannot be started with boot = ${options.boot}: ${problem}`,
    );
  }
  if (options.working_directory !== undefined) {
    makeInTree(tree, options.working_directory, "directory", owner);
  }
  if (options.read_only || options.volatile === "state") await makeMountPoints(tree, owner, options, mounts);
  const user = options.user === undefined || options.boot ? undefined : userOf(tree, options.user, options.image);
  if (user === undefined || user.uid === 0) {
    const root = { uid: owner, gid: owner };
    return { path, options: { ...options, user: undefined }, mounts, environment: {}, notes, user: root };
  }
  const [command = ""] = options.command;
  const program = asUserProgram(user, programPaths(command, options.environment));
  const source = await writeContainerProgram(machine, program);
  return {
    path,
    options: { ...options, user: undefined, command: [PROGRAM, ...options.command] },
    mounts: [...mounts, { source, target: PROGRAM, readOnly: true }],
    environment: { HOME: user.home, USER: user.name, LOGNAME: user.name },
    notes,
    user: { uid: owner + user.uid, gid: owner + user.gid },
  };
}

interface Stacked {
  readonly path: string;
  readonly options: TaskOptions;
  /** The host's user ID that owns the root. */
  readonly owner: number;
  readonly notes: readonly string[];
}

async function stack({ store, machine, image, options }: StoredRootRequest): Promise<Stacked> {
  const plan = ownerPlan(options);
  const owners = plan.owners === "pick" ? await pickRange(store, machine) : plan.owners;
  try {
    const path = await store.prepareSnapshot({ machine, image, owners });
    return { path, options: plan.options, owner: owners?.first ?? 0, notes: [] };
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
      notes: [
        `The image's files were copied to change their owners, because they cannot be ID-mapped: ${error.message}.`,
      ],
    };
  }
}

async function pickRange(store: ImageStore, machine: string): Promise<RootOwners> {
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
async function makeMountPoints(
  tree: TreeRoot,
  owner: number,
  options: TaskOptions,
  mounts: readonly TaskMount[],
): Promise<void> {
  for (const { source, target } of mounts) {
    const directory = (await stat(source)).isDirectory();
    if (!existsInTree(tree, target)) makeInTree(tree, target, directory ? "directory" : "file", owner);
  }
  for (const target of usualFiles) if (!existsInTree(tree, target)) makeInTree(tree, target, "file", owner);
  for (const [, target] of mountTargets(options)) {
    if (!existsInTree(tree, target)) makeInTree(tree, target, "directory", owner);
  }
}

function userOf(tree: TreeRoot, name: string, image: string): ContainerUser {
  const user = findUser(name, readInTree(tree, "/etc/passwd"), readInTree(tree, "/etc/group"));
  if (user !== undefined) return user;
  throw new ConfigError(
    `The user ${JSON.stringify(name)} does not exist in the image ${JSON.stringify(image)}: its /etc/passwd or /etc/group has no such name. Numeric IDs need no entry.`,
  );
}
