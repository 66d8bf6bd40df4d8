import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errnoCode, errorText, ignoreMissing } from "../lib/errors";
import { readIfThere, removeIfEmpty } from "../lib/files";
import { defined } from "../lib/objects";
import { createFifo } from "../linux/files";
import { settingsFilePath } from "../nspawn/environment";
import { LaunchError } from "../supervisor/supervisor";

/** The files of running containers; a reboot removes them along with the containers. */
export const FILES_DIRECTORY = "/run/nomad-driver-nspawn/files";

/** Paths of a machine's files on the host. */
export const machinePaths = (machine: string) => {
  const directory = join(FILES_DIRECTORY, machine);
  return {
    directory,
    root: join(directory, "root"),
    range: join(directory, "range"),
    program: join(directory, "program"),
    environment: join(directory, "environment"),
    resolvConf: join(directory, "resolv.conf"),
    hosts: join(directory, "hosts"),
    networkd: join(directory, "networkd.conf"),
    machineId: join(directory, "machine-id"),
    mask: join(directory, "mask"),
    notify: join(directory, "notify"),
    journal: join(directory, "journal"),
    credentials: join(directory, "credentials"),
    gate: join(directory, "gate"),
    config: join(directory, "config"),
    /** The plugin process that has the machine: see claimMachine(). */
    plugin: join(directory, "plugin"),
    task: join(directory, "task.json"),
    events: join(directory, "events"),
  };
};

/** Contents of the files that a container's start needs. */
interface MachineFileTexts {
  readonly settings: string;
  readonly environment?: string | undefined;
  readonly resolvConf?: string | undefined;
  readonly hosts?: string | undefined;
  /** A drop-in for systemd-networkd in the container. */
  readonly networkd?: string | undefined;
  readonly machineId?: string | undefined;
  /** An empty file, which masks a unit of the container's systemd. */
  readonly mask?: "" | undefined;
  /** Contents of credentials, by name. */
  readonly credentials: ReadonlyMap<string, Uint8Array>;
}

/** Paths of the files that were written. */
export type MachineFiles = {
  readonly [File in "environmentFile" | "resolvConf" | "hosts" | "networkd" | "machineId" | "mask"]?: string;
} & { readonly credentials: Readonly<Record<string, string>> };

/** The error of a container's start if its files cannot be written below /run. */
export function fileErrorOf(machine: string, error: unknown): LaunchError {
  const full = errnoCode(error) === "ENOSPC";
  const why = full ? "the file system of /run is full" : errorText(error);
  return new LaunchError(`Cannot write the files of container ${machine} below ${FILES_DIRECTORY}: ${why}.`, {
    recoverable: full,
    cause: error,
  });
}

/**
 * Runs what writes below /run. That is memory, where a call takes microseconds; to hand one over to another thread, as the runtime does for an
 * asynchronous one, takes ten times as long.
 */
function written<Result>(machine: string, write: () => Result): Result {
  try {
    return write();
  } catch (error) {
    throw fileErrorOf(machine, error);
  }
}

function writeNew(machine: string, path: string, content: string | Uint8Array, mode: number): string {
  written(machine, () => writeFileSync(path, content, { mode, flag: "wx" }));
  return path;
}

/** Writes the files of a registered machine. @throws LaunchError if /run cannot be written */
export function writeMachineFiles(machine: string, texts: MachineFileTexts): MachineFiles {
  const paths = machinePaths(machine);
  const settings = settingsFilePath(machine);
  // systemd-nspawn creates this directory itself, with the same mode, when it first runs.
  written(machine, () => mkdirSync(dirname(settings), { recursive: true, mode: 0o755 }));
  writeNew(machine, settings, texts.settings, 0o600);
  const write = (path: string, text: string | undefined, mode: number) =>
    text === undefined ? undefined : writeNew(machine, path, text, mode);
  const environmentFile = write(paths.environment, texts.environment, 0o600);
  // All users of the container read these; on the host the directory's mode denies access to other users.
  const resolvConf = write(paths.resolvConf, texts.resolvConf, 0o644);
  const hosts = write(paths.hosts, texts.hosts, 0o644);
  const networkd = write(paths.networkd, texts.networkd, 0o644);
  const machineId = write(paths.machineId, texts.machineId, 0o444);
  const mask = write(paths.mask, texts.mask, 0o444);
  const credentials = writeCredentials(machine, texts.credentials);
  return { ...defined({ environmentFile, resolvConf, hosts, networkd, machineId, mask }), credentials };
}

/** Writes credentials to memory: /run is a tmpfs. systemd-nspawn reads them at each start, and so after a reboot of the container. */
function writeCredentials(machine: string, contents: ReadonlyMap<string, Uint8Array>) {
  const { credentials: directory } = machinePaths(machine);
  if (contents.size === 0) return {};
  const paths: [name: string, path: string][] = [];
  written(machine, () => mkdirSync(directory, { mode: 0o700 }));
  // Numbered: a name may be longer than a file's.
  for (const [index, [name, content]] of [...contents].entries()) {
    paths.push([name, writeNew(machine, join(directory, String(index)), content, 0o600)]);
  }
  return Object.fromEntries(paths);
}

/** Writes the program that starts the payload, and returns its path. @throws LaunchError if /run cannot be written */
export function writeMachineProgram(machine: string, program: Uint8Array): string {
  // All users of the container may run it, but none may read the variables in it.
  return writeNew(machine, machinePaths(machine).program, program, 0o711);
}

/**
 * Makes the gate of a machine, a FIFO in which the program that starts the payload waits, and returns its path.
 *
 * @throws LaunchError if /run cannot be written
 */
export function makeMachineGate(machine: string): string {
  const { gate } = machinePaths(machine);
  // The container's root is another user outside; on the host the directory's mode denies access to other users.
  written(machine, () => createFifo(gate, 0o444));
  return gate;
}

/**
 * Keeps the config block of a task, as the agent sent it: an agent that was restarted recovers the task without it (Nomad 1.6.1 and later:
 * drivers.TaskConfig has it in a field that is not stored). It may hold passwords of registries, so it is in memory, readable by root only.
 *
 * @throws LaunchError if /run cannot be written
 */
export function writeConfigBlock(machine: string, block: Uint8Array): void {
  writeNew(machine, machinePaths(machine).config, block, 0o600);
}

/** The config block of a task; undefined if an earlier version of the driver started it. */
export async function readConfigBlock(machine: string): Promise<Uint8Array | undefined> {
  return readFile(machinePaths(machine).config).catch(ignoreMissing);
}

/** Records the path of a machine's root in an image store, before that root is made. @throws LaunchError if /run cannot be written */
export function writeRootNote(machine: string, root: string): void {
  writeNew(machine, machinePaths(machine).root, root, 0o600);
}

/** The path of a machine's root in an image store; undefined if it has none there. */
export function readRootNote(machine: string): string | undefined {
  const text = readIfThere(machinePaths(machine).root);
  // Empty: the plugin was killed between creating the record and writing it, before it made the root.
  return text === "" ? undefined : text;
}

/** Removes the record of a removed root. */
export function removeRootNote(machine: string): void {
  rmSync(machinePaths(machine).root, { force: true });
}

/** Records the first ID of the range of user IDs that a machine's root gets, before the range is taken. @throws LaunchError */
export function writeRangeNote(machine: string, first: number): void {
  written(machine, () => writeFileSync(machinePaths(machine).range, String(first), { mode: 0o600 }));
}

/** The first ID of the range that was picked for a machine; undefined if none was. */
export function readRangeNote(machine: string): number | undefined {
  const text = readIfThere(machinePaths(machine).range);
  return text === undefined || text === "" ? undefined : Number(text);
}

/** Removes the record of a range that was given back. */
export function removeRangeNote(machine: string): void {
  rmSync(machinePaths(machine).range, { force: true });
}

/** Removes the files of a machine, except the records of a root that still exists: the reconciler finds the root by them. Idempotent. */
export async function removeMachineFiles(machine: string): Promise<void> {
  const { directory, root, range, ...others } = machinePaths(machine);
  rmSync(settingsFilePath(machine), { force: true });
  if (readRootNote(machine) === undefined) {
    rmSync(directory, { recursive: true, force: true });
    return;
  }
  for (const path of Object.values(others)) rmSync(path, { recursive: true, force: true });
  await removeIfEmpty(directory);
}
