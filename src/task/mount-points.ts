import { ConfigError } from "../config/config-error";
import type { TaskOptions } from "../config/options";
import { missingMountPoint } from "../image/os-tree";
import type { ResolvedImage } from "../image/resolve";

/** Where systemd-nspawn mounts memory file systems before anything else (nspawn-mount.c, mount_all). */
const memoryDirectories = ["/tmp", "/run", "/dev"];

/**
 * The first of some paths that systemd-nspawn would have to make in the image to mount something there, and cannot because the
 * image is read-only for the task; undefined where all are well.
 */
export async function missingInImage(
  { kind, path }: ResolvedImage,
  options: Pick<TaskOptions, "read_only" | "volatile" | "pivot_root">,
  targets: readonly string[],
): Promise<string | undefined> {
  const { read_only, volatile = "no", pivot_root } = options;
  const fixed = volatile === "no" ? read_only : volatile === "state";
  if (!fixed || pivot_root !== undefined || kind !== "directory") return undefined;
  const writable = [...memoryDirectories, ...(volatile === "state" ? ["/var"] : [])];
  // What is mounted below another mount has its place in that one.
  const wanted = targets.filter(
    (target) => ![...writable, ...targets].some((directory) => target.startsWith(`${directory}/`)),
  );
  return missingMountPoint(path, wanted);
}

/**
 * Refuses mounts for which there is no place: the sentence that systemd-nspawn ends with then helps nobody.
 *
 * @throws ConfigError
 */
export async function refuseMissingMountPoints(
  image: ResolvedImage,
  options: Pick<TaskOptions, "read_only" | "volatile" | "pivot_root">,
  targets: readonly string[],
): Promise<void> {
  const missing = await missingInImage(image, options, targets);
  if (missing === undefined) return;
  const { volatile = "no" } = options;
  throw new ConfigError(
    `The image ${image.path} is read-only for this task (${volatile === "no" ? "read_only = true" : `volatile = ${JSON.stringify(volatile)}`}) and has no ${missing} to mount something on: make it in the image, or use volatile = "overlay" instead.`,
  );
}
