import { about, type Finding } from "./finding";
import { type HostFacts, isAtLeast } from "./host-facts";

/** Evaluates what image downloads need (docs/images.md). */
export function downloadFindings(facts: HostFacts): Finding[] {
  return [downloads(facts), signatures(facts), certificates(facts)];
}

function downloads({ downloads: { importd, xz } }: HostFacts): Finding {
  const report = about("image downloads");
  if (importd) return report.ok("systemd-importd downloads images (image_download of type tar and raw).");
  if (xz) return report.ok("The driver downloads images itself: systemd-importd is not available.");
  return report.warning(
    "Neither systemd-importd nor xz is installed: image_download cannot unpack xz-compressed images, which most images are.",
    'Install the package "xz-utils" (Debian, Ubuntu) or "xz".',
  );
}

function signatures({ downloads: { gpg, keyring } }: HostFacts): Finding {
  const report = about("image signatures");
  if (!gpg) {
    return report.warning(
      'gpg is not installed: image_download with verify = "signature" fails.',
      'Install the package "gpg" (Debian, Ubuntu) or "gnupg2".',
    );
  }
  if (keyring === undefined) {
    return report.warning(
      'No keyring for image signatures exists: image_download with verify = "signature" fails.',
      "Import the public keys that your images are signed with into /etc/systemd/import-pubring.gpg.",
    );
  }
  return report.ok(`Image signatures are checked with the keyring ${keyring}.`);
}

function certificates({ downloads: { certificates: count } }: HostFacts): Finding {
  const report = about("certificates");
  return count > 0
    ? report.ok(`Registry TLS uses ${count} CA certificates of this host and the driver's built-in ones.`)
    : report.ok("This host has no CA certificates: registry TLS uses the driver's built-in ones and registry { ca }.");
}

/** First version of Linux whose overlayfs accepts ID-mapped layers. */
const MAPPED_LAYERS_SINCE = [5, 19] as const;
/** File systems that cannot be an overlay's upper directory: overlayfs itself, and those without the attributes that it needs. */
const UNFIT = ["overlay", "nfs", "nfs4", "cifs", "smb3", "vfat", "exfat", "9p", "fuse.sshfs", "ramfs", "squashfs"];
/** Free bytes below which `doctor` warns. */
const LOW_SPACE_BYTES = 5e9;

/** Evaluates what container (OCI) images need. */
export function imageStoreFindings(facts: HostFacts): Finding[] {
  return [directory(facts), integrity(facts), owners(facts), storageLimits(facts)];
}

function directory({ imageStore, overlayfs, root }: HostFacts): Finding {
  const report = about("image store");
  const { path, exists, problem, free, fileSystem, mount } = imageStore;
  if (problem !== undefined && root) {
    return report.warning(
      `Registry images cannot be used, and ephemeral = true copies a directory: image_store ${path} is unusable: ${problem}.`,
      "Make it a directory that root can write to, or set the plugin option image_store.",
      problem.includes("EROFS") ? [`mount -o remount,rw ${mount}`] : [],
    );
  }
  if (!overlayfs) {
    return report.warning(
      "Registry images cannot be used: the kernel has no overlayfs, which their root filesystems need.",
      "Install the kernel module overlay.",
    );
  }
  if (UNFIT.includes(fileSystem)) {
    return report.warning(
      `Registry images cannot be used, and ephemeral = true copies a directory: ${path} is on ${fileSystem}, which overlayfs cannot write to.`,
      "Set the plugin option image_store to a directory on ext4, xfs or btrfs.",
    );
  }
  const space = `${(free / 1e9).toFixed(1)} GB free`;
  if (free < LOW_SPACE_BYTES) {
    return report.warning(
      `The disk of ${path} has ${space}: registry images may not fit.`,
      "Free space (nomad-driver-nspawn images prune removes unused images), or set the plugin option image_store to a directory on another disk.",
    );
  }
  return report.ok(
    `Registry images are stored in ${path} (${exists ? "" : "not created yet, "}${fileSystem}, ${space}).`,
  );
}

function storageLimits({ du, imageStore: { quotas, path } }: HostFacts): Finding {
  const report = about("storage limits");
  if (quotas) {
    return report.ok(
      `Project quotas of the disk of ${path} limit the changes of tasks to their root file systems (storage_limit).`,
    );
  }
  return du
    ? report.ok(
        `Changes of tasks to their root file systems are limited by measuring them (storage_limit): ${path} is not on a file system with project quotas.`,
      )
    : report.warning(
        "The program du is not installed: tasks with storage_limit are refused.",
        'Install the package "coreutils".',
      );
}

function integrity({ imageStore: { path, verity, fileSystem } }: HostFacts): Finding {
  const report = about("image integrity");
  return verity
    ? report.ok(`fs-verity protects the files of container images in ${path}.`)
    : report.ok(
        `Files of container images are not protected by fs-verity: the file system of ${path}, ${fileSystem}, lacks it (docs/images.md).`,
      );
}

function owners({ kernel }: HostFacts): Finding {
  const report = about("mapped layers");
  return isAtLeast(kernel, MAPPED_LAYERS_SINCE)
    ? report.ok(`Linux ${kernel} can ID-map image layers, and directories below an overlay.`)
    : report.warning(
        `Linux ${kernel} cannot ID-map image layers: with user namespaces, each task copies every file of its registry image, and of its directory with ephemeral or volatile = "overlay".`,
        "Use Linux 5.19 or later, or user_namespacing = false for such tasks.",
      );
}
