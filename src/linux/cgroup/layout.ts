/**
 * Control groups, for hosts with cgroup v2, v1, or both (*hybrid*: v1 controllers and a v2 tree without them). A *tree* is a mounted
 * hierarchy; the *layout* of a host is the list of its trees with their controllers.
 *
 * systemd makes the cgroup of a transient unit. For containers with a shim this folder does the same: manager.ts makes and removes a
 * container's cgroup in each tree that it needs, limits.ts plans what is written to it, devices.ts restricts devices, by the devices
 * controller (v1) or a BPF program (v2). For both, stats.ts reads usage, oom.ts watches for OOM kills, and membership.ts finds the
 * cgroups of a process.
 */

import { readIfThere } from "../../lib/files";
import { type Mount, readMounts } from "../mount";

/** How the host's control groups are mounted: one tree (v2), a tree per controller (v1), or both (hybrid). */
export interface CgroupLayout {
  readonly kind: "v2" | "hybrid" | "v1" | "none";
  /** The v2 tree, if mounted, and its controllers. */
  readonly unified?: { readonly path: string; readonly controllers: readonly string[] };
  /** The v1 trees: where each controller is mounted; "name=systemd" is the tree systemd keeps without a controller. */
  readonly legacy: ReadonlyMap<string, string>;
}

/** v1 controllers and names that may appear in a mount's options; the rest are ordinary mount options. */
const LEGACY_CONTROLLERS = new Set([
  "cpu",
  "cpuacct",
  "cpuset",
  "memory",
  "pids",
  "blkio",
  "devices",
  "freezer",
  "name=systemd",
]);

/**
 * Derives the layout from the mount table; the first mount of a tree counts.
 *
 * @param controllersOf content of cgroup.controllers of the v2 tree mounted at a path
 */
export function cgroupLayout(mounts: readonly Mount[], controllersOf: (path: string) => string): CgroupLayout {
  const v2 = mounts.find((mount) => mount.type === "cgroup2");
  const legacy = new Map<string, string>();
  for (const mount of mounts) {
    if (mount.type !== "cgroup") continue;
    for (const option of mount.superOptions) {
      if (LEGACY_CONTROLLERS.has(option) && !legacy.has(option)) legacy.set(option, mount.path);
    }
  }
  const controllers = (v2 === undefined ? "" : controllersOf(v2.path)).split(/\s+/).filter((name) => name !== "");
  const unified = v2 === undefined ? {} : { unified: { path: v2.path, controllers } };
  if (legacy.size === 0) return { kind: v2 === undefined ? "none" : "v2", ...unified, legacy };
  return { kind: v2 === undefined ? "v1" : "hybrid", ...unified, legacy };
}

/** The layout of this host, which is made when it boots; so the mount table, which grows with each task, is read once. */
let known: CgroupLayout | undefined;

/** The layout of this host. */
export function readCgroupLayout(): CgroupLayout {
  if (known !== undefined) return known;
  const layout = cgroupLayout(readMounts(), (path) => readIfThere(`${path}/cgroup.controllers`) ?? "");
  if (layout.kind !== "none") known = layout;
  return layout;
}

/** The text of a cgroup's file; undefined if the cgroup is gone, or this kernel does not support the file. */
export function readCgroupFile(path: string): string | undefined {
  return readIfThere(path, ["ENODEV", "EOPNOTSUPP"]);
}
