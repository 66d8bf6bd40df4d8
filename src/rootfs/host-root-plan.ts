import type { TaskOptions } from "../config/task/options";
import type { RootWanted } from "./container-roots";
import { withoutCopies } from "./image-defaults";
import { rootOwnership } from "./root-ownership";

/** The properties of a directory that decide on how it becomes a root. */
export interface DirectoryFacts {
  readonly uid: number;
  readonly gid: number;
  /** Whether other file systems are mounted below it. */
  readonly mountsBelow: boolean;
}

/** A root that the driver makes on a directory of the host, or on the root directory of a disk image. */
export interface HostRootPlan extends Pick<RootWanted, "owners" | "source" | "writes"> {
  /** The options with which systemd-nspawn is started then. */
  readonly options: TaskOptions;
}

/** systemd's containers have ranges that begin at a multiple of this (nspawn.c, uid_shift_pick()). */
const RANGE = 0x1_0000;
const rangeOf = (id: number) => id - (id % RANGE);

/**
 * Decides whether the driver makes the root of a task on a directory or disk image: it does if no change reaches the directory, since it then
 * needs no copy, no lock and no change of owners. systemd-nspawn copies the directory for `--ephemeral`, and with `--volatile=overlay` changes
 * the owner of each file, which copies every file into memory.
 *
 * @returns undefined if systemd-nspawn gets the directory itself
 */
export function hostRootPlan(options: TaskOptions, facts: DirectoryFacts): HostRootPlan | undefined {
  const { ephemeral, read_only, volatile = "no", pivot_root, image_download, private_users_ownership } = options;
  const discards = ephemeral || volatile === "overlay";
  if (!discards && !read_only && volatile === "no") return undefined;
  // Asked for explicitly; and a download with `force` may replace the directory while other tasks run on it.
  if (private_users_ownership === "chown" || (ephemeral && image_download?.force === true)) return undefined;
  // An overlay does not show them: like --ephemeral and --volatile=overlay, and unlike the others.
  if (!discards && facts.mountsBelow) return undefined;
  // Mount points would have to be made in the new root.
  if (!discards && pivot_root !== undefined) return undefined;
  const source = rangeOf(facts.uid);
  // systemd-nspawn refuses such a directory.
  if (source !== rangeOf(facts.gid)) return undefined;
  const writes = ephemeral && volatile !== "overlay" ? "disk" : "memory";
  const rest = withoutCopies(options);
  // The directory's owner determines the container's IDs: its files have the right ones.
  if (options.user_namespacing && options.private_users === "yes") {
    return { owners: undefined, writes, options: { ...rest, private_users_ownership: "off" } };
  }
  const { owners, options: mapped } = rootOwnership(rest);
  return { owners, source, writes, options: mapped };
}
