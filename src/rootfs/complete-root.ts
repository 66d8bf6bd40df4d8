import { chmodSync, chownSync, closeSync, constants, fstatSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { mountTargets } from "../config/combinations";
import type { TaskOptions } from "../config/task/options";
import type { ImpliedDirectory } from "../image/store/implied";
import { O_PATH } from "../linux/constants";
import { createInTree, existsInTree, openInRoot, type TreeRoot } from "../linux/rooted-path";
import type { TaskMount } from "../nspawn/arguments";

/** Files that the driver or systemd-nspawn may mount something on. */
const MOUNTED_FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"];
/** Mode of /tmp: everyone may write, and only an owner may remove. */
const TMP_MODE = 0o1777;

/** What a root that the driver made needs before systemd-nspawn gets it. */
interface RootUse {
  /** The host's user ID for the container's root. */
  readonly owner: number;
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
}

/** Whether the container may write to its whole root. */
export function isWritable({ read_only, volatile = "no" }: Pick<TaskOptions, "read_only" | "volatile">): boolean {
  return !read_only && volatile === "no";
}

/** Makes the directories and files in a root that systemd-nspawn or the task expects, in the layer for writes. */
export async function completeRoot(tree: TreeRoot, { owner, options, mounts }: RootUse): Promise<void> {
  // systemd-nspawn creates mount points itself, but cannot in a read-only root.
  if (options.read_only || options.volatile === "state") await createMountPoints(tree, { owner, options, mounts });
  if (isWritable(options) && options.tmp !== "tmpfs")
    prepareTmp(tree, join(options.pivot_root?.newRoot ?? "/", "tmp"), owner);
}

async function createMountPoints(tree: TreeRoot, { owner, options, mounts }: RootUse): Promise<void> {
  for (const { source, target } of mounts) {
    const directory = (await stat(source)).isDirectory();
    if (!existsInTree(tree, target)) createInTree(tree, target, directory ? "directory" : "file", owner);
  }
  for (const target of MOUNTED_FILES) if (!existsInTree(tree, target)) createInTree(tree, target, "file", owner);
  for (const [, target] of mountTargets(options)) {
    if (!existsInTree(tree, target)) createInTree(tree, target, "directory", owner);
  }
}

/**
 * Gives directories that exist their owner and mode.
 *
 * @param owner the host's user ID for the container's root
 */
export function describeDirectories(tree: TreeRoot, directories: readonly ImpliedDirectory[], owner: number): void {
  for (const { path, mode, uid, gid } of directories) {
    const fd = openInRoot(tree.fd, path, O_PATH | constants.O_DIRECTORY);
    if (fd === undefined) continue;
    using open = new DisposableStack();
    const here = `/proc/self/fd/${open.adopt(fd, closeSync)}`;
    chownSync(here, owner + uid, owner + gid);
    chmodSync(here, mode);
  }
}

/** /tmp with the image's content, writable for every user, as the tmpfs is that systemd-nspawn would mount there. */
function prepareTmp(tree: TreeRoot, path: string, owner: number): void {
  if (!existsInTree(tree, path)) createInTree(tree, path, "directory", owner);
  const fd = openInRoot(tree.fd, path, O_PATH);
  if (fd === undefined) return;
  using open = new DisposableStack();
  const stats = fstatSync(open.adopt(fd, closeSync));
  if (stats.isDirectory() && (stats.mode & 0o7777) !== TMP_MODE) chmodSync(`/proc/self/fd/${fd}`, TMP_MODE);
}
