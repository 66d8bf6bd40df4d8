import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { mountTargets, namespaced } from "../config/combinations";
import { ConfigError } from "../config/config-error";
import type { TaskOptions } from "../config/options";
import { asUserProgram } from "../exec/as-user-program";
import { programPaths } from "../exec/session-plan";
import { type ContainerUser, findUser } from "../exec/users";
import { existsInTree, makeInTree, openTree, readInTree, type TreeRoot } from "../host/in-root";
import { osTreeProblem } from "../image/os-tree";
import type { RootOwners } from "../image/store/containers";
import { CONTAINER_IDS, chooseRange } from "../image/store/id-range";
import type { ImageStore } from "../image/store/image-store";
import { OverlayError } from "../image/store/overlay-root";
import type { StoredImage } from "../image/store/records";
import { StoreError } from "../image/store/store-error";
import type { TaskMount } from "../nspawn/arguments";
import { writeContainerProgram } from "./files";
import { containerIds } from "./owner-mapping";

/** Where the program that takes on the task's user is in its container. */
const PROGRAM = "/run/nomad-driver-nspawn/as-user";
/** Locks of ranges that systemd-nspawn uses, one file each (nspawn.c, uid_shift_pick()). */
const RANGE_LOCKS = "/run/systemd/nspawn-uid";

/** Files that the driver or systemd-nspawn may mount something on. */
const usualFiles = ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"];

/** How the owners of a root's files come to be the container's. */
export interface OwnerPlan {
  /** The kernel maps the layers' files to these; undefined where they stay as they are. */
  readonly owners: RootOwners | "to be chosen" | undefined;
  /** What systemd-nspawn is told then. */
  readonly options: TaskOptions;
}

/**
 * Decides on owners. systemd-nspawn's own mapping does not work on an overlay, and changing owners there would copy every file: so the
 * layers are mapped before they are stacked, and systemd-nspawn finds a root that belongs to the container's IDs already. Of those
 * it picks itself it takes the ones that the root belongs to, if they are free, and holds their lock as long as it runs; if
 * somebody was faster it takes others and changes the owners, which is slow and right.
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
      owners: "to be chosen",
      options: { ...options, private_users: "pick", private_users_ownership: fixed ? "off" : "chown" },
    };
  }
  const ids = containerIds(options);
  if (ids?.first === undefined) return { owners: undefined, options };
  return { owners: { first: ids.first, count: ids.count }, options: { ...options, private_users_ownership: "off" } };
}

/** What of a job means something else on a stored image: whatever is written to one is forgotten with the container. */
export function withoutCopies(options: TaskOptions): TaskOptions {
  const { volatile } = options;
  return { ...options, ephemeral: false, volatile: volatile === "overlay" ? "no" : volatile };
}

/** What a container's root is made for. */
export interface StoredRootRequest {
  readonly store: ImageStore;
  readonly machine: string;
  readonly image: StoredImage;
  /** With the image's defaults. */
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
}

/** A root that systemd-nspawn can be started on. */
export interface StoredRoot {
  readonly path: string;
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
  /** Set unless the job or image says otherwise. */
  readonly environment: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
  /** Whom the container's first program is outside. */
  readonly user: { readonly uid: number; readonly gid: number };
}

/**
 * Makes the root of a claimed container on an image of the store.
 *
 * @throws ConfigError, StoreError, LaunchError
 */
export async function makeStoredRoot(request: StoredRootRequest): Promise<StoredRoot> {
  const { machine, mounts } = request;
  const { path, options, owner, notes } = await stack(request);
  using tree = openTree(path);
  // systemd-nspawn takes what has none for no system, and many an image consists of one program.
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
  /** Whom the root belongs to outside. */
  readonly owner: number;
  readonly notes: readonly string[];
}

async function stack({ store, machine, image, options }: StoredRootRequest): Promise<Stacked> {
  const plan = ownerPlan(options);
  const owners = plan.owners === "to be chosen" ? await choose(store, machine) : plan.owners;
  try {
    const path = await store.makeRoot({ machine, image, owners });
    return { path, options: plan.options, owner: owners?.first ?? 0, notes: [] };
  } catch (error) {
    if (!(error instanceof OverlayError)) throw error;
    const fixed = options.private_users_ownership === "map" || options.read_only;
    if (!error.owners || fixed || (options.volatile ?? "no") !== "no") {
      throw new StoreError(
        `The root of the image ${JSON.stringify(options.image)} could not be made: ${error.message}.${error.owners ? " Set user_namespacing = false, or give the client a newer kernel or another file system for image_store." : ""}`,
        { recoverable: false, cause: error },
      );
    }
    const path = await store.makeRoot({ machine, image, owners: undefined });
    return {
      path,
      options: { ...options, private_users_ownership: "chown" },
      owner: 0,
      notes: [`The owners of the image's files were changed one by one, which copies all of them: ${error.message}.`],
    };
  }
}

async function choose(store: ImageStore, machine: string): Promise<RootOwners> {
  const taken = await store.takenIds();
  const first = chooseRange(machine, (id) => taken.has(id) || existsSync(`${RANGE_LOCKS}/${id}`));
  if (first === undefined) {
    throw new StoreError("This client has no user IDs left for another container with user namespaces.", {
      recoverable: true,
    });
  }
  return { first, count: CONTAINER_IDS.count };
}

/** In a read-only root systemd-nspawn cannot make them. */
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
    `The user ${JSON.stringify(name)} is not known to the image ${JSON.stringify(image)}: its /etc/passwd or /etc/group has no such name. A number is taken as it is.`,
  );
}
