import type { HostFacts } from "./facts";
import type { Finding } from "./finding";
import { isAtLeast } from "./kernel";

/** First version of Linux whose overlayfs accepts ID-mapped layers. */
const mappedLayersSince = [5, 19] as const;
/** File systems that cannot be an overlay's upper directory: overlayfs itself, and those without the attributes that it needs. */
const unfit = ["overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "9p", "fuse.sshfs", "ramfs", "squashfs"];
/** Free bytes below which `doctor` warns. */
const lowSpaceBytes = 5e9;

/** Evaluates what container (OCI) images need. */
export function imageStoreFindings(facts: HostFacts): Finding[] {
  return [directory(facts), owners(facts)];
}

function directory({ imageStore, overlayfs, root }: HostFacts): Finding {
  const check = "image store";
  const { path, exists, problem, free, fileSystem } = imageStore;
  const warning = (text: string, fix: string): Finding => ({ check, level: "warning", text, fix });
  if (problem !== undefined && root) {
    return warning(
      `Registry images cannot be used: image_store ${path} is unusable: ${problem}.`,
      "Make it a directory that root can write to, or set the plugin option image_store.",
    );
  }
  if (!overlayfs) {
    return warning(
      "Registry images cannot be used: the kernel has no overlayfs, which their root filesystems need.",
      "Install the kernel module overlay.",
    );
  }
  if (unfit.includes(fileSystem)) {
    return warning(
      `Registry images cannot be used: ${path} is on ${fileSystem}, which overlayfs cannot write to.`,
      "Set the plugin option image_store to a directory on ext4, xfs or btrfs.",
    );
  }
  const space = `${(free / 1e9).toFixed(1)} GB free`;
  if (free < lowSpaceBytes) {
    return warning(
      `The disk of ${path} has ${space}: registry images may not fit.`,
      "Free space, or set the plugin option image_store to a directory on another disk.",
    );
  }
  return {
    check,
    level: "ok",
    text: `Registry images are stored in ${path} (${exists ? "" : "not created yet, "}${fileSystem}, ${space}).`,
  };
}

function owners({ kernel }: HostFacts): Finding {
  const check = "mapped layers";
  return isAtLeast(kernel, mappedLayersSince)
    ? { check, level: "ok", text: `Linux ${kernel} can ID-map image layers.` }
    : {
        check,
        level: "warning",
        text: `Linux ${kernel} cannot ID-map image layers: with user namespaces, each task copies every file of its registry image.`,
        fix: "Use Linux 5.19 or later, or user_namespacing = false for tasks with such images.",
      };
}
