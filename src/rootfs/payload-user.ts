import { join } from "node:path";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { existsInTree, readInTree, type TreeRoot } from "../linux/rooted-path";
import { type ContainerUser, findGroup, findUser } from "../values/passwd";
import type { Rootfs } from "./rootfs";

/** The user of a payload, as far as its root determines it. */
export type PayloadUser = Pick<Rootfs, "options" | "user" | "environment">;

/** Where the databases of a container's users are; undefined: systemd-nspawn gets a root that the driver cannot read. */
interface UserPlace {
  readonly tree: TreeRoot | undefined;
  readonly options: TaskOptions;
}

/**
 * Looks up a task's user in a stored image's own databases, as Docker does.
 *
 * @throws ConfigError for a name that is not in them
 */
export function imageUser(tree: TreeRoot, options: TaskOptions): PayloadUser {
  return switchedTo(options, isAsked(options) ? wantedUser(tree, options) : undefined);
}

/**
 * Looks up a task's user in a directory of the host. A plain name that its databases do not have is left to systemd-nspawn, which asks
 * getent in the container, and so finds users of other databases; it cannot switch to a group, or to a number without an entry.
 *
 * @throws ConfigError for a group that cannot be found
 */
export function hostUser({ tree, options }: UserPlace): PayloadUser {
  if (!isAsked(options)) return { options, environment: {} };
  const { user: name = "0", image, volatile, group_add } = options;
  // With volatile = "yes" only /usr is the image's.
  if (tree !== undefined && volatile !== "yes") {
    const found = lookUp(tree, options);
    if (found !== undefined) {
      return switchedTo(options.user === undefined ? options : atHome(tree, options, found), found);
    }
  }
  if (group_add.length > 0) {
    throw new ConfigError(
      `Option group_add cannot be used with the image ${JSON.stringify(image)} and the user ${JSON.stringify(name)}: the driver must find both in the image's /etc/passwd and /etc/group before the start. Use a directory or container image, and a user of it.`,
    );
  }
  const [plain = "", group = ""] = name.split(":");
  if (group === "") return { options: { ...options, user: plain }, environment: {} };
  throw new ConfigError(
    tree === undefined || volatile === "yes"
      ? `The user ${JSON.stringify(name)} cannot have a group of the job's in the image ${JSON.stringify(image)}: the driver cannot read its /etc/group before the start. Use a name without a group, or a directory or container image.`
      : unknownUser(name, image),
  );
}

function isAsked({ user, boot, group_add }: TaskOptions): boolean {
  return (user !== undefined || group_add.length > 0) && !boot;
}

function wantedUser(tree: TreeRoot, options: TaskOptions): ContainerUser {
  const user = lookUp(tree, options);
  if (user === undefined) throw new ConfigError(unknownUser(options.user ?? "", options.image));
  return user;
}

function unknownUser(name: string, image: string): string {
  return `The user ${JSON.stringify(name)} does not exist in the image ${JSON.stringify(image)}: its /etc/passwd or /etc/group has no such name. Numeric IDs need no entry.`;
}

/** @throws ConfigError for a group of group_add that does not exist */
function lookUp(tree: TreeRoot, { user = "0", pivot_root, group_add, image }: TaskOptions): ContainerUser | undefined {
  const read = (file: string) => readInTree(tree, join(pivot_root?.newRoot ?? "/", file));
  const group = read("/etc/group");
  const found = findUser(user, read("/etc/passwd"), group);
  if (found === undefined) return undefined;
  const added = group_add.map((name) => {
    const id = findGroup(name, group);
    if (id !== undefined) return id;
    throw new ConfigError(
      `Option group_add names the group ${JSON.stringify(name)}, which the image ${JSON.stringify(image)} does not have in its /etc/group: numeric IDs need no entry.`,
    );
  });
  return { ...found, groups: [...new Set([...found.groups, ...added])] };
}

/** systemd-nspawn starts a program in the home directory of the user that it switches to. */
function atHome(tree: TreeRoot, options: TaskOptions, { home }: ContainerUser): TaskOptions {
  const { working_directory, pivot_root } = options;
  const usable = working_directory === undefined && home.startsWith("/") && !home.split("/").includes("..");
  if (!usable || !existsInTree(tree, join(pivot_root?.newRoot ?? "/", home))) return options;
  return { ...options, working_directory: home };
}

function switchedTo(options: TaskOptions, user: ContainerUser | undefined): PayloadUser {
  const rest = { ...options, user: undefined };
  if (user === undefined) return { options: rest, environment: {} };
  const { uid, gid, groups, name, home } = user;
  // systemd-nspawn starts programs as root with these already.
  if (uid === 0 && gid === 0 && groups.length === 0) return { options: rest, environment: {} };
  return { options: rest, user, environment: { HOME: home, USER: name, LOGNAME: name } };
}
