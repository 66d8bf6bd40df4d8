import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { missingMountPoint } from "./os-tree";
import type { ResolvedImage } from "./resolve-image";

/** Where systemd-nspawn mounts tmpfs file systems before anything else (nspawn-mount.c, mount_all). */
const MEMORY_DIRECTORIES = ["/tmp", "/run", "/dev"];

/**
 * The first of the given mount points that does not exist in the image and that systemd-nspawn cannot create, because the image is
 * read-only for the task; undefined if there is no such path.
 */
export async function missingInImage(
  { kind, path }: ResolvedImage,
  options: Pick<TaskOptions, "read_only" | "volatile" | "pivot_root">,
  targets: readonly string[],
): Promise<string | undefined> {
  const { read_only, volatile = "no", pivot_root } = options;
  const fixed = volatile === "no" ? read_only : volatile === "state";
  if (!fixed || pivot_root !== undefined || kind !== "directory") return undefined;
  const writable = [...MEMORY_DIRECTORIES, ...(volatile === "state" ? ["/var"] : [])];
  // A mount point below another mount is created in that mount.
  const wanted = targets.filter(
    (target) => ![...writable, ...targets].some((directory) => target.startsWith(`${directory}/`)),
  );
  return missingMountPoint(path, wanted);
}

/** Rejects mounts without a mount point, because systemd-nspawn's own error message does not explain the problem. @throws ConfigError */
export async function refuseMissingMountPoints(
  image: ResolvedImage,
  options: Pick<TaskOptions, "read_only" | "volatile" | "pivot_root">,
  targets: readonly string[],
): Promise<void> {
  const missing = await missingInImage(image, options, targets);
  if (missing === undefined) return;
  const { volatile = "no" } = options;
  throw new ConfigError(
    `The image ${image.path} is read-only for this task (${volatile === "no" ? "read_only = true" : `volatile = ${JSON.stringify(volatile)}`}) and has no mount point ${missing}: create it in the image, or use volatile = "overlay" instead.`,
  );
}
