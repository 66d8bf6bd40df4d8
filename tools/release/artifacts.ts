/**
 * What a release consists of. An *artifact* is one file of it, named with version, operating system and architecture as HashiCorp names
 * its own; the *checksums* cover all artifacts, the *signature* covers the checksums, and the *SBOM* (software bill of materials) lists
 * what the executable was made of. The same commit gives the same bytes of every artifact.
 */

import { chmod, copyFile, cp, mkdir, readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compress, sumsName, sumsText } from "../build/artifacts";
import { binaryName, projectRoot } from "../build/project";
import type { Target } from "../build/targets";
import { run } from "../command";

/** What is released. */
export interface Release {
  /** As in package.json, such as "0.2.0". */
  readonly version: string;
  /** The executable, and the machine that it is for. */
  readonly binary: string;
  readonly target: Target;
  /** Seconds since the epoch of its commit: the time of every file in the artifacts. */
  readonly time: number;
  /** Where the artifacts are written to. */
  readonly directory: string;
  /** An empty directory for what is packed; the caller removes it. */
  readonly scratch: string;
  /** Compress as little as each program can: for tests, which only unpack. */
  readonly quick: boolean;
}

/** The first part of all names of artifacts, such as nomad-driver-nspawn_0.2.0_linux_amd64. */
export function artifactName({ version, target }: Pick<Release, "version" | "target">): string {
  return `${binaryName}_${version}_linux_${target.name}`;
}

/** Files of the repository that are packed beside the executable, and their names there. */
const documents = [
  ["LICENSE", "LICENSE"],
  ["README.md", "README.md"],
  ["CHANGELOG.md", "CHANGELOG.md"],
] as const;

/** Folders of the repository that are packed beside the executable: whole jobs and an agent's configuration; a dashboard and alert rules. */
const folders = ["examples", "contrib"] as const;

/** Places on a host where a package installs what it contains (hier(7); Nomad's packages have their data_dir in /opt/nomad/data). */
export const installed = {
  binary: `/usr/bin/${binaryName}`,
  plugin: `/opt/nomad/data/plugins/${binaryName}`,
  dropIn: "/usr/lib/systemd/system/nomad.service.d/50-nspawn.conf",
  documents: `/usr/share/doc/${binaryName}`,
} as const;

/**
 * The level of a compressor for a release.
 *
 * @param usual what its artifacts are compressed with
 * @param least the fastest level that it has
 */
export function levelOf({ quick }: Pick<Release, "quick">, usual: number, least = 1): number {
  return quick ? least : usual;
}

/**
 * Sets modes and times of a tree's files, so that archives of it have the same bytes each time: with the umask of any user, and from any
 * checkout.
 */
export async function settle(directory: string, time: number): Promise<void> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const entries = names
    .filter((entry) => !entry.isSymbolicLink())
    .map((entry) => ({
      path: join(entry.parentPath, entry.name),
      runs: entry.isDirectory() || entry.name === binaryName,
    }));
  // What is in a directory before the directory, whose time it changes.
  for (const { path, runs } of [
    ...entries.toSorted((a, b) => (a.path < b.path ? 1 : -1)),
    { path: directory, runs: true },
  ]) {
    await chmod(path, runs ? 0o755 : 0o644);
    await utimes(path, time, time);
  }
}

/** Copies the folders that are packed beside the executable. */
async function copyFolders(into: string): Promise<void> {
  for (const name of folders) await cp(join(projectRoot, name), join(into, name), { recursive: true });
}

/** Copies the executable and what belongs to it into a directory of an archive's own: archives are written at the same time. */
async function archiveTree({ binary, time, scratch }: Release, kind: "zip" | "tar", name: string): Promise<string> {
  const directory = join(scratch, kind, name);
  await mkdir(directory, { recursive: true });
  await copyFile(binary, join(directory, binaryName));
  for (const [from, to] of documents) await copyFile(join(projectRoot, from), join(directory, to));
  if (kind === "tar") await copyFolders(directory);
  await settle(directory, time);
  return directory;
}

/** Writes NAME.zip with the executable at the top, as Nomad's `artifact` block and tools that install HashiCorp's releases expect it. */
export async function writeZip(release: Release): Promise<string> {
  const file = `${artifactName(release)}.zip`;
  const directory = await archiveTree(release, "zip", artifactName(release));
  const names = [binaryName, ...documents.map(([, name]) => name)];
  // Times in a zip file are local times.
  const env = { ...process.env, TZ: "UTC" };
  await run(["zip", "-q", "-X", `-${levelOf(release, 6)}`, join(release.directory, file), ...names], {
    cwd: directory,
    env,
  });
  return file;
}

/** Writes NAME.tar.xz with one directory, NAME. */
export async function writeTarball(release: Release): Promise<string> {
  const name = artifactName(release);
  const directory = await archiveTree(release, "tar", name);
  const tar = join(release.scratch, `${name}.tar`);
  const same = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", `--mtime=@${release.time}`];
  await run([
    "tar",
    "--create",
    ...same,
    "--format=gnu",
    `--file=${tar}`,
    `--directory=${join(directory, "..")}`,
    name,
  ]);
  await compress(tar, `${tar}.xz`, levelOf(release, 6, 0));
  await copyFile(`${tar}.xz`, join(release.directory, `${name}.tar.xz`));
  return `${name}.tar.xz`;
}

/** Lays out in a directory what a package installs on a host, below its root. */
export async function packageTree({ binary, time }: Release, root: string): Promise<void> {
  const put = async (from: string, to: string) => {
    await mkdir(join(root, to, ".."), { recursive: true });
    await copyFile(from, join(root, to));
  };
  await put(binary, installed.binary);
  await put(join(projectRoot, "packaging/nomad.service.d/50-nspawn.conf"), installed.dropIn);
  await put(join(projectRoot, "packaging/copyright"), join(installed.documents, "copyright"));
  for (const [from, to] of documents) await put(join(projectRoot, from), join(installed.documents, to));
  await copyFolders(join(root, installed.documents));
  await mkdir(join(root, installed.plugin, ".."), { recursive: true });
  await symlink(installed.binary, join(root, installed.plugin));
  await settle(root, time);
}

/** Writes SHA256SUMS of these files of a directory, in the format of `sha256sum --check`. */
export async function writeSums(directory: string, files: readonly string[]): Promise<string> {
  await writeFile(join(directory, sumsName), await sumsText(directory, files.toSorted()));
  return sumsName;
}

/**
 * Signs SHA256SUMS with an OpenPGP key of the keyring that gpg uses.
 *
 * @param key its fingerprint, ID or user
 * @param env gpg's environment, with GNUPGHOME for another keyring than this user's
 */
export async function signSums(
  directory: string,
  key: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string> {
  const signature = `${sumsName}.sig`;
  const what = ["--detach-sign", "--output", join(directory, signature), join(directory, sumsName)];
  await run(["gpg", "--batch", "--yes", "--local-user", key, ...what], { env });
  return signature;
}
