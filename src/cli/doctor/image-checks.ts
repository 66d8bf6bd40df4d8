import type { Finding } from "./finding";
import { type HostFacts, isAtLeast } from "./host-facts";

/** Evaluates what image downloads need (docs/images.md). */
export function downloadFindings(facts: HostFacts): Finding[] {
  return [downloads(facts), signatures(facts), certificates(facts)];
}

function downloads({ downloads: { importd, xz } }: HostFacts): Finding {
  const check = "image downloads";
  if (importd) {
    return { check, level: "ok", text: "systemd-importd downloads images (image_download of type tar and raw)." };
  }
  if (xz) return { check, level: "ok", text: "The driver downloads images itself: systemd-importd is not available." };
  return {
    check,
    level: "warning",
    text: "Neither systemd-importd nor xz is installed: image_download cannot unpack xz-compressed images, which most images are.",
    fix: 'Install the package "xz-utils" (Debian, Ubuntu) or "xz".',
  };
}

function signatures({ downloads: { gpg, keyring } }: HostFacts): Finding {
  const check = "image signatures";
  if (!gpg) {
    return {
      check,
      level: "warning",
      text: 'gpg is not installed: image_download with verify = "signature" fails.',
      fix: 'Install the package "gpg" (Debian, Ubuntu) or "gnupg2".',
    };
  }
  if (keyring === undefined) {
    return {
      check,
      level: "warning",
      text: 'No keyring for image signatures exists: image_download with verify = "signature" fails.',
      fix: "Import the public keys that your images are signed with into /etc/systemd/import-pubring.gpg.",
    };
  }
  return { check, level: "ok", text: `Image signatures are checked with the keyring ${keyring}.` };
}

function certificates({ downloads: { certificates: count } }: HostFacts): Finding {
  const check = "certificates";
  return count > 0
    ? {
        check,
        level: "ok",
        text: `Registry TLS uses ${count} CA certificates of this host and the driver's built-in ones.`,
      }
    : {
        check,
        level: "ok",
        text: "This host has no CA certificates: registry TLS uses the driver's built-in ones and registry { ca }.",
      };
}

/** First version of Linux whose overlayfs accepts ID-mapped layers. */
const MAPPED_LAYERS_SINCE = [5, 19] as const;
/** File systems that cannot be an overlay's upper directory: overlayfs itself, and those without the attributes that it needs. */
const UNFIT = ["overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "9p", "fuse.sshfs", "ramfs", "squashfs"];
/** Free bytes below which `doctor` warns. */
const LOW_SPACE_BYTES = 5e9;

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
  if (UNFIT.includes(fileSystem)) {
    return warning(
      `Registry images cannot be used: ${path} is on ${fileSystem}, which overlayfs cannot write to.`,
      "Set the plugin option image_store to a directory on ext4, xfs or btrfs.",
    );
  }
  const space = `${(free / 1e9).toFixed(1)} GB free`;
  if (free < LOW_SPACE_BYTES) {
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
  return isAtLeast(kernel, MAPPED_LAYERS_SINCE)
    ? { check, level: "ok", text: `Linux ${kernel} can ID-map image layers.` }
    : {
        check,
        level: "warning",
        text: `Linux ${kernel} cannot ID-map image layers: with user namespaces, each task copies every file of its registry image.`,
        fix: "Use Linux 5.19 or later, or user_namespacing = false for tasks with such images.",
      };
}
