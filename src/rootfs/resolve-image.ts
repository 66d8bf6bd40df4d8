import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { isAbsolute, join, resolve, sep } from "node:path";
import { errnoCode, ImageError, isMissing } from "../lib/errors";
import type { RootKind } from "../nspawn/arguments";
import { parseReference } from "../values/image-reference";
import { checkAncestors } from "./image-ancestors";
import { MOUNT_STACK_SUFFIX } from "./mount-stack";

/** Where systemd-machined looks for an image by name, in order (discover-image.c, image_search_path). */
export const MACHINE_DIRECTORIES: readonly string[] = [
  "/etc/machines",
  "/run/machines",
  "/var/lib/machines",
  "/usr/local/lib/machines",
  "/usr/lib/machines",
];

/** An image for systemd-nspawn: --directory=, --image= or --mstack=. */
export interface ResolvedImage {
  readonly kind: RootKind;
  /** Absolute, without symlinks. */
  readonly path: string;
}

/** Where images may be located. */
interface ResolveOptions {
  /** The base of relative paths: the directory of the plugin's executable. */
  readonly pluginDir: string;
  /** Directories images may come from; empty: any. */
  readonly imagePaths: readonly string[];
  /** The directories of machinectl's images. */
  readonly machineDirectories?: readonly string[];
}

/**
 * Finds the image of a task: first as a path, relative ones from the plugin's directory, then as a machinectl image of
 * that name; the order of the upstream driver. Symlinks are resolved before image_paths is checked, so that none leads out
 * of the allowed directories, and only root may be able to replace anything below these afterwards.
 *
 * @throws ImageError
 */
export async function resolveImage(image: string, options: ResolveOptions): Promise<ResolvedImage> {
  const quoted = JSON.stringify(image);
  if (image === "")
    throw new ImageError(
      "The option image is empty: set a directory, a disk image, a block device or the name of a machine image.",
    );
  if (image.includes("\0"))
    throw new ImageError(`image ${quoted} contains a NUL character, which is not allowed in paths.`);
  const path = isAbsolute(image) ? image : resolve(options.pluginDir, image);
  const { machineDirectories = MACHINE_DIRECTORIES } = options;
  const found =
    (await findPath(path)) ?? (isMachineName(image) ? await findMachine(image, machineDirectories) : undefined);
  if (found === undefined) throw new ImageError(notFound(image, path, machineDirectories));
  const allowed = await checkAllowed(quoted, found.path, options.imagePaths);
  if (allowed !== undefined) checkAncestors(quoted, allowed, found.path);
  const { stats } = found;
  if (stats.isDirectory()) {
    return { kind: found.path.endsWith(MOUNT_STACK_SUFFIX) ? "mstack" : "directory", path: found.path };
  }
  if (stats.isFile() || stats.isBlockDevice()) return { kind: "image", path: found.path };
  throw new ImageError(
    `image ${quoted} (${found.path}) is neither a directory nor a disk image file nor a block device.`,
  );
}

/** Whether an image exists on this host, as {@link resolveImage} searches it. @throws ImageError */
export async function isOnHost(
  image: string,
  options: Pick<ResolveOptions, "pluginDir" | "machineDirectories">,
): Promise<boolean> {
  const { pluginDir, machineDirectories = MACHINE_DIRECTORIES } = options;
  if ((await findPath(resolve(pluginDir, image))) !== undefined) return true;
  return isMachineName(image) && (await findMachine(image, machineDirectories)) !== undefined;
}

/**
 * Checks that image_paths allows a location, whether or not it exists.
 *
 * @param path absolute and without symlinks
 * @throws ImageError
 */
export async function requireAllowed(image: string, path: string, imagePaths: readonly string[]): Promise<void> {
  await checkAllowed(JSON.stringify(image), path, imagePaths);
}

/**
 * A directory of the host without symlinks, if image_paths allows it.
 *
 * @param image as named in the job
 * @throws ImageError
 */
export async function allowedDirectory(
  image: string,
  directory: string,
  imagePaths: readonly string[],
): Promise<string> {
  const { path, stats } = await allowedPath(image, directory, imagePaths);
  if (stats.isDirectory()) return path;
  throw new ImageError(`image ${JSON.stringify(image)} not found: ${directory} is not a directory.`);
}

/**
 * A regular file of the host without symlinks, if image_paths allows it.
 *
 * @param image as named in the job
 * @throws ImageError
 */
export async function allowedFile(image: string, file: string, imagePaths: readonly string[]): Promise<string> {
  const { path, stats } = await allowedPath(image, file, imagePaths);
  if (stats.isFile()) return path;
  throw new ImageError(`image ${JSON.stringify(image)} not found: ${file} is not a regular file.`);
}

async function allowedPath(image: string, path: string, imagePaths: readonly string[]): Promise<Found> {
  const quoted = JSON.stringify(image);
  const found = await findPath(path);
  if (found === undefined) throw new ImageError(`image ${quoted} not found: ${path} does not exist.`);
  const allowed = await checkAllowed(quoted, found.path, imagePaths);
  if (allowed !== undefined) checkAncestors(quoted, allowed, found.path);
  return found;
}

/**
 * Whether a text names an image in a registry rather than a file: it begins with "docker://", or has a tag, a digest or a registry's host.
 * A single word, or a relative path, names one on the host.
 */
export function isRegistryReference(image: string): boolean {
  if (/^(?:docker|oci):\/\//.test(image)) return true;
  try {
    parseReference(image);
  } catch {
    return false;
  }
  const [first = "", ...rest] = image.split("/");
  return /[:@]/.test(image) || (rest.length > 0 && (/[.A-Z]/.test(first) || first === "localhost"));
}

interface Found {
  readonly path: string;
  readonly stats: Stats;
}

async function findPath(path: string): Promise<Found | undefined> {
  try {
    const real = await realpath(path);
    return { path: real, stats: await stat(real) };
  } catch (error) {
    if (isMissing(error)) return undefined;
    const code = errnoCode(error);
    if (code === undefined) throw error;
    throw new ImageError(`image ${JSON.stringify(path)} cannot be read: ${code}.`, { cause: error });
  }
}

/** In each directory NAME is tried before NAME.raw and NAME.mstack; only a regular file counts as NAME.raw. */
async function findMachine(name: string, directories: readonly string[]): Promise<Found | undefined> {
  for (const directory of directories) {
    const plain = await findPath(join(directory, name));
    if (plain !== undefined && (plain.stats.isDirectory() || plain.stats.isBlockDevice())) return plain;
    const raw = await findPath(join(directory, `${name}.raw`));
    if (raw?.stats.isFile()) return raw;
    const stack = await findPath(join(directory, `${name}${MOUNT_STACK_SUFFIX}`));
    if (stack?.stats.isDirectory()) return stack;
  }
  return undefined;
}

/** systemd's image_name_is_valid(): a printable file name that is not one of its temporary files. */
export function isMachineName(name: string): boolean {
  if (name.length > 255 || name === "." || name === ".." || name.includes("/")) return false;
  return !name.startsWith(".#") && !/\p{Cc}/u.test(name);
}

/** The allowed directory that contains a path; undefined if any path is allowed. @throws ImageError if none contains it */
async function checkAllowed(quoted: string, path: string, imagePaths: readonly string[]): Promise<string | undefined> {
  if (imagePaths.length === 0) return undefined;
  const allowed = await Promise.all(
    imagePaths.map(async (directory) => (await findPath(directory))?.path ?? resolve(directory)),
  );
  // The innermost one, if they are nested.
  const [inside] = allowed
    .filter((directory) => path === directory || path.startsWith(directory === sep ? sep : directory + sep))
    .sort((one, other) => other.length - one.length);
  if (inside !== undefined) return inside;
  throw new ImageError(
    `image ${quoted} is ${path}, which the plugin option image_paths does not allow; allowed directories: ${imagePaths.join(", ")}.`,
  );
}

function notFound(image: string, path: string, machineDirectories: readonly string[]): string {
  const quoted = JSON.stringify(image);
  if (/^https?:\/\//.test(image)) {
    return `image ${quoted} is a URL: set image to a name, and image_download to the URL.`;
  }
  if (!isMachineName(image)) return `image ${quoted} not found.`;
  return `image ${quoted} not found: neither ${path} exists nor ${image} or ${image}.raw in ${machineDirectories.join(", ")}.`;
}
