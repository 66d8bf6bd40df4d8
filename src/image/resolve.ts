import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { isAbsolute, join, resolve, sep } from "node:path";
import { errnoCode, isMissing } from "../host/errno";
import { checkAncestors } from "./image-ancestors";
import { ImageError } from "./image-error";
import { parseReference } from "./reference";

/** Where systemd-machined looks for an image of a name, in order (discover-image.c, image_search_path). */
export const MACHINE_DIRECTORIES: readonly string[] = [
  "/etc/machines",
  "/run/machines",
  "/var/lib/machines",
  "/usr/local/lib/machines",
  "/usr/lib/machines",
];

/** An image as systemd-nspawn takes it: --directory= or --image=. */
export interface ResolvedImage {
  readonly kind: "directory" | "image";
  /** Absolute, without symlinks. */
  readonly path: string;
}

/** Where images may be. */
export interface ResolveOptions {
  /** What relative paths are relative to: the directory of the plugin's executable. */
  readonly pluginDir: string;
  /** Directories images may come from; empty: any. */
  readonly imagePaths: readonly string[];
  /** Where machinectl's images are. */
  readonly machineDirectories?: readonly string[];
}

/**
 * Finds the image of a task: a path first, relative ones from the plugin's directory, then an image machinectl knows by
 * that name, the order of the upstream driver. Symlinks are resolved before image_paths is asked, so that none leads out
 * of the allowed directories, and nothing on the way below these may be exchangeable afterwards by anything but root.
 *
 * @throws ImageError
 */
export async function resolveImage(image: string, options: ResolveOptions): Promise<ResolvedImage> {
  const quoted = JSON.stringify(image);
  if (image === "")
    throw new ImageError(
      "The option image is empty: give a directory, a disk image, a block device or a machine image's name.",
    );
  if (image.includes("\0")) throw new ImageError(`image ${quoted} contains a NUL character, which no path can.`);
  const path = isAbsolute(image) ? image : resolve(options.pluginDir, image);
  const { machineDirectories = MACHINE_DIRECTORIES } = options;
  const found = (await look(path)) ?? (isMachineName(image) ? await findMachine(image, machineDirectories) : undefined);
  if (found === undefined) throw new ImageError(notFound(image, path, machineDirectories));
  const allowed = await checkAllowed(quoted, found.path, options.imagePaths);
  if (allowed !== undefined) checkAncestors(quoted, allowed, found.path);
  const { stats } = found;
  if (stats.isDirectory()) return { kind: "directory", path: found.path };
  if (stats.isFile() || stats.isBlockDevice()) return { kind: "image", path: found.path };
  throw new ImageError(
    `image ${quoted} (${found.path}) is neither a directory nor a disk image file nor a block device.`,
  );
}

/** Whether an image is on this host, as {@link resolveImage} looks for it. @throws ImageError */
export async function isOnHost(
  image: string,
  options: Pick<ResolveOptions, "pluginDir" | "machineDirectories">,
): Promise<boolean> {
  const { pluginDir, machineDirectories = MACHINE_DIRECTORIES } = options;
  if ((await look(resolve(pluginDir, image))) !== undefined) return true;
  return isMachineName(image) && (await findMachine(image, machineDirectories)) !== undefined;
}

/**
 * Checks that images may come from a place, whether or not there is one yet.
 *
 * @param path absolute and without symlinks
 * @throws ImageError
 */
export async function requireAllowed(image: string, path: string, imagePaths: readonly string[]): Promise<void> {
  await checkAllowed(JSON.stringify(image), path, imagePaths);
}

/**
 * A directory of the host without symlinks, if images may come from it.
 *
 * @param image as the job names it
 * @throws ImageError
 */
export async function allowedDirectory(
  image: string,
  directory: string,
  imagePaths: readonly string[],
): Promise<string> {
  const quoted = JSON.stringify(image);
  const found = await look(directory);
  if (found === undefined) throw new ImageError(`image ${quoted} was not found: there is no ${directory}.`);
  if (!found.stats.isDirectory()) throw new ImageError(`image ${quoted} was not found: ${directory} is no directory.`);
  const allowed = await checkAllowed(quoted, found.path, imagePaths);
  if (allowed !== undefined) checkAncestors(quoted, allowed, found.path);
  return found.path;
}

/**
 * Whether a text names an image in a registry rather than a file: it says so ("docker://"), or has a tag, a digest or a registry's host.
 * A word alone, or a relative path, is one for the host.
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

async function look(path: string): Promise<Found | undefined> {
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

/** In each directory NAME comes before NAME.raw; only a regular file counts as NAME.raw. */
async function findMachine(name: string, directories: readonly string[]): Promise<Found | undefined> {
  for (const directory of directories) {
    const plain = await look(join(directory, name));
    if (plain !== undefined && (plain.stats.isDirectory() || plain.stats.isBlockDevice())) return plain;
    const raw = await look(join(directory, `${name}.raw`));
    if (raw?.stats.isFile()) return raw;
  }
  return undefined;
}

/** systemd's image_name_is_valid(): a file name, printable, and none of its temporary files. */
export function isMachineName(name: string): boolean {
  if (name.length > 255 || name === "." || name === ".." || name.includes("/")) return false;
  return !name.startsWith(".#") && !/\p{Cc}/u.test(name);
}

/** The allowed directory that a path is in; undefined where any path is allowed. @throws ImageError for one that is in none */
async function checkAllowed(quoted: string, path: string, imagePaths: readonly string[]): Promise<string | undefined> {
  if (imagePaths.length === 0) return undefined;
  const allowed = await Promise.all(
    imagePaths.map(async (directory) => (await look(directory))?.path ?? resolve(directory)),
  );
  // The nearest, where one of them lies in another.
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
    return `image ${quoted} is a URL: give the image a name there, and the URL in image_download.`;
  }
  if (!isMachineName(image)) return `image ${quoted} was not found: there is no ${path}.`;
  return `image ${quoted} was found neither as ${path} nor as ${image} or ${image}.raw in ${machineDirectories.join(", ")}.`;
}
