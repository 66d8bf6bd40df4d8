import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { TaskOptions } from "../config/task/options";
import { ARCHIVE_HEAD, looksLikeArchive } from "../image/archive-kind";
import { type ArchiveReference, parseArchiveReference } from "../image/image-archive";
import { type LayoutReference, parseLayoutReference } from "../image/oci-layout";
import { MOUNT_STACK_SUFFIX } from "./mount-stack";
import { isRegistryReference, MACHINE_DIRECTORIES } from "./resolve-image";
import { findTaskFile } from "./task-files";

/** The origin of an image. */
export type ImageRef =
  /** A directory, disk image or device of this host, or a name for one. */
  | {
      readonly kind: "host";
      /** Where it is in the task's directory, absolute and without symlinks; absent if it is not there. */
      readonly inTask?: string;
    }
  /** A container (OCI) image in a directory of this host. */
  | { readonly kind: "layout"; readonly reference: LayoutReference; readonly inTask?: string }
  /** A container (OCI) image in an archive on this host. */
  | { readonly kind: "archive"; readonly reference: ArchiveReference; readonly inTask?: string }
  /** A container (OCI) image in a registry. */
  | {
      readonly kind: "registry";
      readonly reference: string;
      /** Whether the registry is asked to resolve the reference now; if absent, the store decides. */
      readonly ask?: boolean;
    };

/** The settings of a task that decide on its image's origin. */
type ImageWanted = Pick<TaskOptions, "image" | "image_download">;

/** Where to look for images of this host. */
interface OriginOptions {
  /** What relative paths are relative to. */
  readonly pluginDir: string;
  /** The task's directory `local`, with what Nomad's artifact blocks have downloaded. */
  readonly local: string;
  readonly machineDirectories?: readonly string[];
}

/**
 * The origin of a job's image: from image_download if that names a registry image, otherwise from the image's name.
 *
 * @throws ImageError if a symlink leads out of the task's directory
 */
export function taskImageRef({ image, image_download: download }: ImageWanted, options: OriginOptions): ImageRef {
  if (download?.type === "docker" || download?.type === "oci") {
    return { kind: "registry", reference: download.url, ask: download.force };
  }
  // image_download creates a machine image of that name.
  return download === undefined ? imageRef(image, options) : { kind: "host" };
}

/**
 * The origin of an image, by its name. A file in the task's directory takes precedence, then an existing path or machine image of the
 * host, as in the upstream driver: "my.images/debian" may be either.
 *
 * @throws ImageError if a symlink leads out of the task's directory
 */
export function imageRef(image: string, options: OriginOptions): ImageRef {
  const { local, machineDirectories = MACHINE_DIRECTORIES } = options;
  const archive = parseArchiveReference(image);
  if (archive !== undefined) {
    const inTask = findTaskFile(archive.path, local);
    return inTask === undefined
      ? { kind: "archive", reference: archive }
      : { kind: "archive", reference: { ...archive, path: inTask }, inTask };
  }
  const layout = parseLayoutReference(image);
  if (layout !== undefined) {
    const inTask = findTaskFile(layout.directory, local);
    return inTask === undefined
      ? { kind: "layout", reference: layout }
      : { kind: "layout", reference: { ...layout, directory: inTask }, inTask };
  }
  const inTask = findTaskFile(image, local);
  if (inTask !== undefined) return taskFileRef(inTask);
  if (/^(?:docker|oci):\/\//.test(image)) return { kind: "registry", reference: image };
  if (image.includes("\0") || !isRegistryReference(image)) return { kind: "host" };
  const places = [resolve(options.pluginDir, image)];
  if (!image.includes("/")) {
    places.push(
      ...machineDirectories.flatMap((directory) =>
        ["", ".raw", MOUNT_STACK_SUFFIX].map((suffix) => join(directory, `${image}${suffix}`)),
      ),
    );
  }
  return places.some((path) => existsSync(path)) ? { kind: "host" } : { kind: "registry", reference: image };
}

/** What a path in the task's directory is, by its content. */
function taskFileRef(inTask: string): ImageRef {
  const stats = statSync(inTask);
  if (stats.isDirectory()) {
    return existsSync(join(inTask, "oci-layout"))
      ? { kind: "layout", reference: { directory: inTask }, inTask }
      : { kind: "host", inTask };
  }
  // Only a regular file is opened: opening a FIFO would wait.
  if (!stats.isFile() || !looksLikeArchive(firstBytes(inTask))) return { kind: "host", inTask };
  return { kind: "archive", reference: { format: "any", path: inTask }, inTask };
}

function firstBytes(path: string): Buffer {
  const fd = openSync(path, "r");
  try {
    const head = Buffer.alloc(ARCHIVE_HEAD);
    return head.subarray(0, readSync(fd, head, 0, head.length, 0));
  } finally {
    closeSync(fd);
  }
}
