import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type LayoutReference, parseLayoutReference } from "./oci-layout";
import { isRegistryReference, MACHINE_DIRECTORIES } from "./resolve";

/** Where an image comes from. */
export type ImageOrigin =
  /** A directory, disk image or device of this host, or a name for one. */
  | { readonly kind: "host" }
  /** An image for container engines, in a directory of this host. */
  | { readonly kind: "layout"; readonly reference: LayoutReference }
  /** An image for container engines, in a registry. */
  | {
      readonly kind: "registry";
      readonly reference: string;
      /** Whether the registry is asked what the reference stands for now; absent: as the store thinks fit. */
      readonly ask?: boolean;
    };

/** What of a task tells its image's origin. */
export interface ImageWanted {
  readonly image: string;
  readonly image_download?: { readonly url: string; readonly type: string; readonly force: boolean } | undefined;
}

/** Where images of this host are looked for. */
export interface OriginOptions {
  /** What relative paths are relative to. */
  readonly pluginDir: string;
  readonly machineDirectories?: readonly string[];
}

/** Where the image of a job comes from: what image_download says of one in a registry, or else the image's name. */
export function taskImageOrigin({ image, image_download: download }: ImageWanted, options: OriginOptions): ImageOrigin {
  if (download?.type === "docker" || download?.type === "oci") {
    return { kind: "registry", reference: download.url, ask: download.force };
  }
  // What image_download brings is a machine image of that name.
  return download === undefined ? imageOrigin(image, options) : { kind: "host" };
}

/**
 * Where an image comes from, by its name. What exists on the host as a path or machine image comes first, as with the
 * upstream driver: "my.images/debian" may be either.
 */
export function imageOrigin(image: string, options: OriginOptions): ImageOrigin {
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
