import { lstatSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { inDirectory, removeIfEmpty } from "../lib/directories";
import { errnoCode, errorText, ignoreMissing } from "../lib/errors";
import { settingsFilePath } from "../nspawn/environment";
import { LaunchError } from "../supervisor/supervisor";

/** Directory of the files of running containers; like the containers, it does not survive a reboot. */
const filesDirectory = "/run/nomad-driver-nspawn/files";
/** Owners: one symlink per container to its owner, because a symlink is created atomically. */
const ownersDirectory = "/run/nomad-driver-nspawn/owners";

/** Contents of the files that a container's start needs. */
export interface ContainerFileTexts {
  readonly settings: string;
  readonly environment?: string | undefined;
  readonly resolvConf?: string | undefined;
  readonly hosts?: string | undefined;
}

/** Their paths. */
export interface ContainerFiles {
  readonly environmentFile?: string;
  readonly resolvConf?: string;
  readonly hosts?: string;
  /** For systemd-networkd in the container; written later, see writeNetworkdFile(). */
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
 * Records the owner of a container before anything else of it is created: if the plugin is killed after that, the remains are
 * found by this record. Replaces what an earlier start left.
 *
 * @param owner see ownerOf()
 * @param root path that the container's root will have in an image store; absent if its root is not in one
 * @throws LaunchError if /run cannot be written; everything is removed then
 */
export async function registerMachine(machine: string, owner: string, root?: string): Promise<void> {
  await removeContainerFiles(machine);
  await rollbackOnError(machine, async () => {
    const files = paths(machine);
    await inDirectory(ownersDirectory, () => symlink(owner, files.owner));
    await inDirectory(filesDirectory, () => mkdir(files.directory, { mode: 0o700 }));
    if (root !== undefined) await writeFile(files.root, root, { mode: 0o600, flag: "wx" });
  });
}

/**
 * Writes the files of a claimed container.
 *
 * @throws LaunchError if /run cannot be written; everything is removed then
 */
export async function writeContainerFiles(machine: string, texts: ContainerFileTexts): Promise<ContainerFiles> {
  return rollbackOnError(machine, () => write(machine, texts));
}

/** Writes the first program of a claimed container and returns its path. @throws as writeContainerFiles() */
export async function writeContainerProgram(machine: string, program: Uint8Array): Promise<string> {
  const path = paths(machine).program;
  // Every user in the container can execute it; on the host the directory's mode (0700) prevents access.
  await rollbackOnError(machine, () => writeFile(path, program, { mode: 0o755, flag: "wx" }));
  return path;
}

async function rollbackOnError<T>(machine: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    // A root must be removed before the record of its path.
    if ((await containerRoot(machine)) === undefined) await removeContainerFiles(machine);
    const full = errnoCode(error) === "ENOSPC";
    const why = full ? "the file system of /run is full" : errorText(error);
    throw new LaunchError(`Cannot write the files of container ${machine} below ${filesDirectory}: ${why}.`, {
      recoverable: full,
      cause: error,
    });
  }
}

async function write(machine: string, texts: ContainerFileTexts): Promise<ContainerFiles> {
  const { environment, resolvConf, hosts } = paths(machine);
  const settings = settingsFilePath(machine);
  // systemd-nspawn creates this directory itself, with the same mode, when it first runs.
  await mkdir(dirname(settings), { recursive: true, mode: 0o755 });
  await writeFile(settings, texts.settings, { mode: 0o600, flag: "wx" });
  if (texts.environment !== undefined) await writeFile(environment, texts.environment, { mode: 0o600, flag: "wx" });
  // Every user in the container can read it; on the host the directory's mode (0700) prevents access.
  if (texts.resolvConf !== undefined) await writeFile(resolvConf, texts.resolvConf, { mode: 0o644, flag: "wx" });
  if (texts.hosts !== undefined) await writeFile(hosts, texts.hosts, { mode: 0o644, flag: "wx" });
  return {
    ...(texts.environment === undefined ? {} : { environmentFile: environment }),
    ...(texts.resolvConf === undefined ? {} : { resolvConf }),
    ...(texts.hosts === undefined ? {} : { hosts }),
  };
}

/** The path of a container's root in an image store; undefined if its root is not in one. */
export async function containerRoot(machine: string): Promise<string | undefined> {
  return readFile(paths(machine).root, "utf8").catch(ignoreMissing);
}

/** Whether a container is claimed by any agent on this host. */
export function isRegistered(machine: string): boolean {
  return lstatSync(paths(machine).owner, { throwIfNoEntry: false }) !== undefined;
}

/** Adds the configuration of the container's systemd-networkd to its files. */
export async function writeNetworkdFile(machine: string, text: string): Promise<string> {
  const { networkd } = paths(machine);
  await writeFile(networkd, text, { mode: 0o644, flag: "wx" });
  return networkd;
}

/**
 * The owner of a task's container: its agent, identified by the directory of its allocations, which differs between the agents of
 * a host.
 */
export function clientOf({ allocDir }: Pick<TaskConfig, "allocDir">): string {
  return dirname(allocDir);
}

/** The machines that an owner has started and not removed yet. */
export async function machinesOfClient(owner: string): Promise<string[]> {
  const found: string[] = [];
  for (const machine of await namesIn(ownersDirectory)) {
    if ((await readlink(paths(machine).owner).catch(ignoreMissing)) === owner) found.push(machine);
  }
  return found;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(ignoreMissing)) ?? [];
}

/**
 * Removes a container's files, and with the last container's also the directories; does nothing if none exist.
 *
 * @param removed.owner false if something else of the container is left, which has to be found by its owner record
 */
export async function removeContainerFiles(machine: string, removed = { owner: true }): Promise<void> {
  const { directory, owner } = paths(machine);
  await rm(settingsFilePath(machine), { force: true });
  await rm(directory, { recursive: true, force: true });
  // Removed last: if the driver is killed before, the remains are found by it.
  if (removed.owner) await rm(owner, { force: true });
  for (const each of [filesDirectory, ownersDirectory, dirname(filesDirectory)]) await removeIfEmpty(each);
}
