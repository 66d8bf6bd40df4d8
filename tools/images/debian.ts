/** Debian trees built by mmdebstrap: the base of every test image. */

import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { run } from "../command";

/** A Debian tree, as plain data (it is hashed into the cache key). */
export interface DebianTree {
  readonly suite: string;
  /** Of another machine than this one, only to be unpacked. */
  readonly architecture?: "arm64";
  readonly variant: "minbase" | "extract";
  readonly packages: readonly string[];
  /** Units that must not start. */
  readonly masked: readonly string[];
  /** Files to write: path in the tree → content. */
  readonly files: Readonly<Record<string, string>>;
  /** Symbolic links to make: path in the tree → target. */
  readonly links: Readonly<Record<string, string>>;
  /** Directories that the packages' scripts expect, although the files in them are left out. */
  readonly directories?: readonly string[];
  /** Packages that `apt-get install` inside can install without a network: the tree has them and the lists, but does not contain them. */
  readonly atHand?: readonly string[];
  /** Take the mirror's list of packages though its date says that it is no longer current; it is signed all the same. */
  readonly anyAge?: boolean;
}

/** Units of a Debian tree that only cost time in a container without logins. */
export const idleUnits = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "console-getty.service",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "getty.target",
  "ldconfig.service",
  "systemd-firstboot.service",
  "systemd-hwdb-update.service",
  "systemd-journal-catalog-update.service",
  "systemd-update-done.service",
  "systemd-update-utmp.service",
  "systemd-update-utmp-runlevel.service",
] as const;

/** Files of every tree that boots: no name, no identity and no resolver of the machine that built it. */
export const bootFiles: Readonly<Record<string, string>> = {
  "etc/machine-id": "",
  "etc/hostname": "",
  "etc/resolv.conf": "",
  "etc/fstab": "",
  "etc/systemd/journald.conf.d/volatile.conf": "[Journal]\nStorage=volatile\n",
};

/**
 * Makes a Debian tree in a directory.
 *
 * @throws CommandFailedError with mmdebstrap's output, for example if no mirror can be reached
 */
export async function makeDebianTree(tree: DebianTree, directory: string): Promise<void> {
  await run([
    "mmdebstrap",
    "--quiet",
    "--mode=root",
    `--variant=${tree.variant}`,
    ...(tree.architecture === undefined ? [] : [`--architectures=${tree.architecture}`]),
    `--include=${tree.packages.join(",")}`,
    '--aptopt=Acquire::Languages "none"',
    ...(tree.anyAge === true ? ['--aptopt=Acquire::Check-Valid-Until "false"'] : []),
    ...(tree.atHand === undefined ? [] : keepingPackages(tree.atHand)),
    ...(tree.directories ?? []).map((path) => `--essential-hook=mkdir -p "$1/${path}"`),
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    tree.suite,
    directory,
  ]);
  for (const [path, content] of Object.entries(tree.files)) {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    await rm(file, { force: true });
    await writeFile(file, content);
  }
  const masks = tree.masked.map((unit) => [`etc/systemd/system/${unit}`, "/dev/null"] as const);
  for (const [path, target] of [...masks, ...Object.entries(tree.links)]) {
    const link = join(directory, path);
    await mkdir(dirname(link), { recursive: true });
    await rm(link, { force: true });
    await symlink(target, link);
  }
}

/** Downloads packages and what they depend on into the tree's apt cache, and keeps that and the lists. */
function keepingPackages(packages: readonly string[]): readonly string[] {
  const install = [
    "apt-get",
    "install",
    "--quiet=2",
    "--yes",
    "--option=APT::Install-Recommends=true",
    "--download-only",
  ];
  return [
    `--customize-hook=APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" ${install.join(" ")} ${packages.join(" ")}`,
    "--skip=cleanup/apt",
  ];
}
