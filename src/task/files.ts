import { lstatSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { absent, errnoCode } from "../host/errno";
import { errorText } from "../host/error-text";
import { inDirectory } from "../host/in-directory";
import { removeIfEmpty } from "../host/remove-if-empty";
import { settingsFilePath } from "../nspawn/settings-file";
import { LaunchError } from "../supervisor/supervisor";

/** Where the files of running containers lie; gone after a reboot, as the containers are. */
const filesDirectory = "/run/nomad-driver-nspawn/files";
/** Whose they are: a link for each container to its owner, which is there as a whole or not at all. */
const ownersDirectory = "/run/nomad-driver-nspawn/owners";

/** Texts a container's start needs as files. */
export interface ContainerFileTexts {
  readonly settings: string;
  readonly environment?: string | undefined;
  readonly resolvConf?: string | undefined;
  readonly hosts?: string | undefined;
}

/** Where they were written. */
export interface ContainerFiles {
  readonly environmentFile?: string;
  readonly resolvConf?: string;
  readonly hosts?: string;
  /** For systemd-networkd in the container: written later, see writeNetworkdFile(). */
  readonly networkd?: string;
}

const paths = (machine: string) => {
  const directory = join(filesDirectory, machine);
  return {
    owner: join(ownersDirectory, machine),
    directory,
    root: join(directory, "root"),
    program: join(directory, "program"),
    environment: join(directory, "environment"),
    resolvConf: join(directory, "resolv.conf"),
    hosts: join(directory, "hosts"),
    networkd: join(directory, "networkd.conf"),
  };
};

/**
 * Writes down whose a container is, before anything else of it is made: what a plugin leaves that is killed from here on, is found
 * by it. Replaces what an earlier start left.
 *
 * @param owner see ownerOf()
 * @param root where the container's root is going to be in an image store; absent for one that is not
 * @throws LaunchError when /run cannot be written; nothing is left then
 */
export async function claimContainer(machine: string, owner: string, root?: string): Promise<void> {
  await removeContainerFiles(machine);
  await orNothing(machine, async () => {
    const files = paths(machine);
    await inDirectory(ownersDirectory, () => symlink(owner, files.owner));
    await inDirectory(filesDirectory, () => mkdir(files.directory, { mode: 0o700 }));
    if (root !== undefined) await writeFile(files.root, root, { mode: 0o600, flag: "wx" });
  });
}

/**
 * Writes the files of a claimed container.
 *
 * @throws LaunchError when /run cannot be written; nothing is left then
 */
export async function writeContainerFiles(machine: string, texts: ContainerFileTexts): Promise<ContainerFiles> {
  return orNothing(machine, () => write(machine, texts));
}

/** Writes the program that a claimed container begins with; gives its path. @throws as writeContainerFiles() */
export async function writeContainerProgram(machine: string, program: Uint8Array): Promise<string> {
  const path = paths(machine).program;
  // Everybody in the container runs it; on the host the directory keeps others out.
  await orNothing(machine, () => writeFile(path, program, { mode: 0o755, flag: "wx" }));
  return path;
}

async function orNothing<T>(machine: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    // The root goes before the note where it is.
    if ((await containerRoot(machine)) === undefined) await removeContainerFiles(machine);
    const full = errnoCode(error) === "ENOSPC";
    const why = full ? "the file system of /run is full" : errorText(error);
    throw new LaunchError(`The files of container ${machine} could not be written below ${filesDirectory}: ${why}.`, {
      recoverable: full,
      cause: error,
    });
  }
}

async function write(machine: string, texts: ContainerFileTexts): Promise<ContainerFiles> {
  const { environment, resolvConf, hosts } = paths(machine);
  const settings = settingsFilePath(machine);
  // systemd-nspawn makes this directory itself, with the same mode, when it first runs.
  await mkdir(dirname(settings), { recursive: true, mode: 0o755 });
  await writeFile(settings, texts.settings, { mode: 0o600, flag: "wx" });
  if (texts.environment !== undefined) await writeFile(environment, texts.environment, { mode: 0o600, flag: "wx" });
  // Everybody in the container reads it; on the host the directory keeps others out.
  if (texts.resolvConf !== undefined) await writeFile(resolvConf, texts.resolvConf, { mode: 0o644, flag: "wx" });
  if (texts.hosts !== undefined) await writeFile(hosts, texts.hosts, { mode: 0o644, flag: "wx" });
  return {
    ...(texts.environment === undefined ? {} : { environmentFile: environment }),
    ...(texts.resolvConf === undefined ? {} : { resolvConf }),
    ...(texts.hosts === undefined ? {} : { hosts }),
  };
}

/** Where a container has its root in an image store; undefined for one that has none there. */
export async function containerRoot(machine: string): Promise<string | undefined> {
  return readFile(paths(machine).root, "utf8").catch(absent);
}

/** Whether a container is claimed, by whichever agent of this host. */
export function isClaimed(machine: string): boolean {
  return lstatSync(paths(machine).owner, { throwIfNoEntry: false }) !== undefined;
}

/** Adds what a container's systemd-networkd is to read to its files. */
export async function writeNetworkdFile(machine: string, text: string): Promise<string> {
  const { networkd } = paths(machine);
  await writeFile(networkd, text, { mode: 0o644, flag: "wx" });
  return networkd;
}

/**
 * Who owns a task's container: the agent, known by the directory of its allocations. Several agents on one host have
 * one each.
 */
export function ownerOf({ allocDir }: Pick<TaskConfig, "allocDir">): string {
  return dirname(allocDir);
}

/** The machines whose containers an owner has started, and not removed yet. */
export async function machinesOf(owner: string): Promise<string[]> {
  const found: string[] = [];
  for (const machine of await namesIn(ownersDirectory)) {
    if ((await readlink(paths(machine).owner).catch(absent)) === owner) found.push(machine);
  }
  return found;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(absent)) ?? [];
}

/**
 * Removes a container's files, and the directories of all with the last one's; does nothing where there are none.
 *
 * @param removed.owner false where something else of the container is left, that is found again by its owner
 */
export async function removeContainerFiles(machine: string, removed = { owner: true }): Promise<void> {
  const { directory, owner } = paths(machine);
  await rm(settingsFilePath(machine), { force: true });
  await rm(directory, { recursive: true, force: true });
  // The last of all: whoever is killed before is found by it.
  if (removed.owner) await rm(owner, { force: true });
  for (const each of [filesDirectory, ownersDirectory, dirname(filesDirectory)]) await removeIfEmpty(each);
}
