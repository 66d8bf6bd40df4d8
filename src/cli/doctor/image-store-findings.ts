import type { HostFacts } from "./facts";
import type { Finding } from "./finding";
import { isAtLeast } from "./kernel";

/** Version of Linux whose overlayfs takes layers with mapped owners. */
const mappedLayersSince = [5, 19] as const;
/** File systems that cannot hold what an overlay writes: overlayfs itself, and those without the attributes it needs. */
const unfit = ["overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "9p", "fuse.sshfs", "ramfs", "squashfs"];
const usualLeast = 5e9;

/** Judges what images made for container engines need. */
export function imageStoreFindings(facts: HostFacts): Finding[] {
  return [directory(facts), owners(facts)];
}

function directory({ imageStore, overlayfs, root }: HostFacts): Finding {
  const check = "image store";
  const { path, there, problem, free, fileSystem } = imageStore;
  const warning = (text: string, fix: string): Finding => ({ check, level: "warning", text, fix });
  if (problem !== undefined && root) {
    return warning(
      `Images of registries cannot be used: their directory ${path} is of no use, because ${problem}.`,
      "Make it a directory that root can write to, or set the plugin option image_store.",
    );
  }
  if (!overlayfs) {
    return warning(
      "Images of registries cannot be used: the kernel has no overlayfs, of which containers' roots are made.",
      "Install the kernel's module overlay.",
    );
  }
  if (unfit.includes(fileSystem)) {
    return warning(
      `Images of registries cannot be used: ${path} is on ${fileSystem}, which overlayfs cannot write to.`,
      "Set the plugin option image_store to a directory on ext4, xfs or btrfs.",
    );
  }
  const space = `${(free / 1e9).toFixed(1)} GB free`;
  if (free < usualLeast) {
    return warning(
      `The disk of ${path} has ${space}: images of registries may not fit.`,
      "Make room, or set the plugin option image_store to another disk.",
    );
  }
  return {
    check,
    level: "ok",
    text: `Images of registries are kept in ${path} (${there ? "" : "not there yet, "}${fileSystem}, ${space}).`,
  };
}

function owners({ kernel }: HostFacts): Finding {
  const check = "mapped layers";
  return isAtLeast(kernel, mappedLayersSince)
    ? { check, level: "ok", text: `Linux ${kernel} can map the owners of images' layers.` }
    : {
        check,
        level: "warning",
        text: `Linux ${kernel} cannot map the owners of images' layers: with user namespaces every file of an image of a registry is copied for each task.`,
        fix: "Use Linux 5.19 or later, or user_namespacing = false for tasks on such images.",
      };
}
