import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { TaskOptions } from "../config/task/options";
import { type LayoutReference, parseLayoutReference } from "../image/oci-layout";
import { isRegistryReference, MACHINE_DIRECTORIES } from "./resolve-image";

/** The origin of an image. */
export type ImageRef =
  /** A directory, disk image or device of this host, or a name for one. */
  | { readonly kind: "host" }
  /** A container (OCI) image in a directory of this host. */
  | { readonly kind: "layout"; readonly reference: LayoutReference }
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
  readonly machineDirectories?: readonly string[];
}

/** The origin of a job's image: from image_download if that names a registry image, otherwise from the image's name. */
export function taskImageRef({ image, image_download: download }: ImageWanted, options: OriginOptions): ImageRef {
  if (download?.type === "docker" || download?.type === "oci") {
    return { kind: "registry", reference: download.url, ask: download.force };
  }
  // image_download creates a machine image of that name.
  return download === undefined ? imageRef(image, options) : { kind: "host" };
}

/**
 * The origin of an image, by its name. An existing path or machine image of the host takes precedence, as in the
 * upstream driver: "my.images/debian" may be either.
 */
export function imageRef(image: string, options: OriginOptions): ImageRef {
  const layout = parseLayoutReference(image);
  if (layout !== undefined) return { kind: "layout", reference: layout };
  if (/^(?:docker|oci):\/\//.test(image)) return { kind: "registry", reference: image };
  if (image.includes("\0") || !isRegistryReference(image)) return { kind: "host" };
  const { machineDirectories = MACHINE_DIRECTORIES } = options;
  const places = [resolve(options.pluginDir, image)];
  if (!image.includes("/")) {
    places.push(
      ...machineDirectories.flatMap((directory) => [join(directory, image), join(directory, `${image}.raw`)]),
    );
  }
  return places.some((path) => existsSync(path)) ? { kind: "host" } : { kind: "registry", reference: image };
}
