import { closeSync, constants, readlinkSync } from "node:fs";
import { inImage, type OverlayMount, overlaySourceProblem } from "../config/mounts";
import { ConfigError } from "../lib/errors";
import { O_PATH } from "../linux/constants";
import { openInRoot, openTree } from "../linux/rooted-path";
import type { Rootfs } from "../rootfs/rootfs";

/**
 * The overlays of a root, with directories of the image by paths without symlinks. systemd-nspawn would follow a symlink of the image in
 * the host's file system (nspawn-mount.c, resolve_source_path()), and so out of the image.
 *
 * @throws ConfigError if such a directory does not exist, or the image is not a directory
 */
export function imageOverlays({ image, options }: Pick<Rootfs, "image" | "options">): OverlayMount[] {
  return options.overlay.map((overlay) => ({
    ...overlay,
    lower: overlay.lower.map((source) => (inImage(source) ? `+${pathInImage(image, source.slice(1))}` : source)),
  }));
}

function pathInImage(image: Rootfs["image"], path: string): string {
  if (image.kind !== "directory") {
    throw new ConfigError(
      `Option overlay names the directory ${JSON.stringify(`+${path}`)} of the image, which is a disk image: this is possible for directories and container (OCI) images only.`,
    );
  }
  using tree = openTree(image.path);
  const fd = openInRoot(tree.fd, path, O_PATH | constants.O_DIRECTORY);
  if (fd === undefined) {
    throw new ConfigError(
      `Option overlay names the directory ${JSON.stringify(`+${path}`)}, which the image does not have.`,
    );
  }
  using open = new DisposableStack();
  open.adopt(fd, closeSync);
  const root = readlinkSync(`/proc/self/fd/${tree.fd}`);
  const found = readlinkSync(`/proc/self/fd/${fd}`);
  const inside = found === root ? "/" : found.slice(root === "/" ? 0 : root.length);
  const problem = overlaySourceProblem(inside);
  if (problem === undefined) return inside;
  throw new ConfigError(
    `Option overlay names the directory ${JSON.stringify(`+${path}`)} of the image, which is ${JSON.stringify(inside)} there: ${problem}.`,
  );
}
