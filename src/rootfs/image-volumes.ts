import { mountTargets, simplify } from "../config/combinations";
import type { TaskOptions } from "../config/task/options";
import type { ImageConfig } from "../image/image-config";
import { createInTree, existsInTree, type TreeRoot } from "../linux/rooted-path";
import type { TaskMount } from "../nspawn/arguments";
import { describeDirectories } from "./complete-root";

/** The volumes of an image's config, and what the job's author should know of them. */
interface ImageVolumes {
  /** Absolute paths in the container, parents first. */
  readonly paths: readonly string[];
  readonly notes: readonly string[];
}

/**
 * The directories that an image declares as volumes (OCI image spec, config.md, "Volumes"): a program expects that they exist and are
 * writable for its user. Those that the job mounts something at, or above, are the job's.
 */
export function imageVolumes(
  image: ImageConfig,
  options: TaskOptions,
  mounts: readonly Pick<TaskMount, "target">[],
): ImageVolumes {
  const taken = [...mounts.map(({ target }) => target), ...mountTargets(options).map(([, path]) => path)].map(simplify);
  const paths: string[] = [];
  const notes: string[] = [];
  for (const volume of Object.keys(image.config?.Volumes ?? {})) {
    const path = simplify(volume);
    if (!volume.startsWith("/") || path === "/" || /[\0\n]/.test(path) || path.split("/").includes("..")) {
      notes.push(
        `The image's volume ${JSON.stringify(volume.slice(0, 100))} is ignored: it is not an absolute path below the root.`,
      );
    } else if (!taken.some((mounted) => path === mounted || path.startsWith(`${mounted}/`))) paths.push(path);
  }
  return { paths: paths.toSorted(), notes };
}

/** An option's tmpfs for each volume: every user may write, as with podman's `--image-volume=tmpfs`. */
export function volumesInMemory(options: TaskOptions, paths: readonly string[]): TaskOptions {
  const more = paths.map((target) => ({ target, options: "mode=1777" }));
  return { ...options, tmpfs: [...options.tmpfs, ...more] };
}

/** A volume's directory. */
interface Volume {
  readonly path: string;
  /** IDs in the container of the user who writes to it. */
  readonly uid: number;
  readonly gid: number;
}

/** Creates a volume's directory, unless the image has one. @param owner the host's user ID for the container's root */
export function createVolume(tree: TreeRoot, { path, uid, gid }: Volume, owner: number): void {
  if (existsInTree(tree, path) || !createInTree(tree, path, "directory", owner)) return;
  describeDirectories(tree, [{ path, mode: 0o755, uid, gid }], owner);
}
