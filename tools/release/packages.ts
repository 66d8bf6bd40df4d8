/** Packages for Debian and Ubuntu (.deb), and for Fedora and RHEL (.rpm). */

import { mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { binaryName, projectRoot } from "../build/project";
import { oldestGlibc } from "../build/requirements";
import { run } from "../command";
import { artifactName, installed, levelOf, packageTree, type Release, settle } from "./artifacts";

const SUMMARY = "Nomad task driver that runs systemd-nspawn containers";
const DESCRIPTION = [
  "A plugin of HashiCorp Nomad that runs tasks in systemd-nspawn containers: full",
  "systems or single commands, from directories, disk images and container images.",
] as const;
/** The oldest systemd-nspawn that the driver accepts (src/nspawn/features.ts). */
const OLDEST_NSPAWN = 249;

/** The text of a binary package's control file (deb-control(5)). @param size KiB that it takes when installed */
export function debControl({ version, target }: Pick<Release, "version" | "target">, size: number): string {
  return [
    `Package: ${binaryName}`,
    `Version: ${version}`,
    `Architecture: ${target.name}`,
    "Section: admin",
    "Priority: optional",
    "Maintainer: nomad-driver-nspawn contributors <root@localhost>",
    `Installed-Size: ${size}`,
    `Depends: libc6 (>= ${oldestGlibc}), systemd-container (>= ${OLDEST_NSPAWN})`,
    "Recommends: nomad, nftables, dbus, xz-utils, zstd",
    "Suggests: mmdebstrap, containernetworking-plugins",
    `Description: ${SUMMARY}`,
    ...DESCRIPTION.map((line) => ` ${line}`),
    "",
  ].join("\n");
}

/** Writes NAME.deb. Its contents are compressed with zstd, which dpkg of Debian 12 and Ubuntu 22.04 reads. */
export async function writeDeb(release: Release): Promise<string> {
  const file = `${artifactName(release)}.deb`;
  const root = join(release.scratch, "deb");
  await packageTree(release, root);
  const size = Math.ceil(Bun.file(release.binary).size / 1024);
  await mkdir(join(root, "DEBIAN"));
  await writeFile(join(root, "DEBIAN/control"), debControl(release, size));
  await settle(join(root, "DEBIAN"), release.time);
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(release.time) };
  const how = ["--root-owner-group", "-Zzstd", `-z${levelOf(release, 10)}`];
  await run(["dpkg-deb", ...how, "--build", root, join(release.directory, file)], { env });
  return file;
}

/**
 * The text of the spec file (rpm-spec(7)). Programs of rpmbuild that change files are off: the executable carries its own data behind its
 * ELF sections, which strip(1) would remove.
 */
export function rpmSpec(release: Pick<Release, "version" | "quick">, root: string): string {
  return [
    "%global debug_package %{nil}",
    "%global __os_install_post %{nil}",
    "%global _build_id_links none",
    `%global _binary_payload w${levelOf(release, 10)}.zstdio`,
    "%global use_source_date_epoch_as_buildtime 1",
    "%global clamp_mtime_to_source_date_epoch 1",
    "%global _buildhost localhost",
    `Name: ${binaryName}`,
    // A hyphen separates version and release.
    `Version: ${release.version.replaceAll("-", "~")}`,
    "Release: 1",
    `Summary: ${SUMMARY}`,
    "License: MPL-2.0",
    "AutoReqProv: no",
    `Requires: systemd-container >= ${OLDEST_NSPAWN}`,
    "Recommends: nftables",
    "Recommends: zstd",
    "%description",
    ...DESCRIPTION,
    "%install",
    `cp -a ${root}/. %{buildroot}/`,
    "%files",
    installed.binary,
    installed.plugin,
    installed.dropIn,
    `%doc ${installed.documents}`,
    "",
  ].join("\n");
}

/** Writes NAME.rpm. */
export async function writeRpm(release: Release): Promise<string> {
  const file = `${artifactName(release)}.rpm`;
  const root = join(release.scratch, "rpm/root");
  const top = join(release.scratch, "rpm/build");
  const { rpm } = release.target;
  await packageTree(release, root);
  const spec = join(release.scratch, `rpm/${binaryName}.spec`);
  await writeFile(spec, rpmSpec(release, root));
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(release.time), HOME: release.scratch };
  const how = ["--define", `_topdir ${top}`, "--define", "_rpmdir %{_topdir}/out", "--target", `${rpm}-linux`];
  await run(["rpmbuild", "-bb", "--quiet", ...how, spec], { env, cwd: projectRoot });
  const [made] = await readdir(join(top, "out", rpm));
  if (made === undefined) throw new Error("rpmbuild wrote no package.");
  await rename(join(top, "out", rpm, made), join(release.directory, file));
  return file;
}
