/**
 * Machines of this host that the driver started. A *machine* is a container by the name that systemd-machined, the unit and the files
 * under /run have for it (nspawn/machine-name.ts). A *client* is the Nomad agent that it belongs to, known by the directory of its
 * allocations: several agents may run on one host.
 *
 * A machine is registered before anything else of it is made, and unregistered when everything of it is removed. So whatever a killed
 * plugin leaves is found again by its name, and the dangling reconciler (task/dangling-reconciler.ts) removes it.
 */

import { lstatSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ifThere, ignoreMissing } from "../lib/errors";
import { inDirectory, readIfThere, removeIfEmpty, writeAtomicallySync } from "../lib/files";
import { identify, isAlive } from "../linux/proc";
import { FILES_DIRECTORY, fileErrorOf, machinePaths, removeMachineFiles } from "./files";
import { type TaskRecord, writeTaskRecord } from "./task-record";

/** One symlink per machine; its target is the machine's client. A symlink is created atomically with its content, unlike a file. */
const OWNERS_DIRECTORY = "/run/nomad-driver-nspawn/owners";

const linkOf = (machine: string) => join(OWNERS_DIRECTORY, machine);

/** A part of a machine beside its container: network, root or files. */
export interface MachineResource {
  /** Removes it, wholly or partly made. Idempotent: succeeds if nothing of it exists. */
  release(machine: string): Promise<void>;
}

/**
 * Releases the resources of a machine in the given order; a failure does not stop the ones that follow.
 *
 * @throws the only failure, or AggregateError with all of them
 */
export async function releaseAll(resources: readonly MachineResource[], machine: string): Promise<void> {
  const failures: unknown[] = [];
  for (const resource of resources) await resource.release(machine).catch((error: unknown) => failures.push(error));
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join(" "));
}

/**
 * Registers a machine; files that an earlier start left are removed.
 *
 * @param client see clientOf() of launch/plan.ts: the directory of the agent's allocations
 * @param record what the command line shows of its task
 * @throws LaunchError if /run cannot be written
 */
export async function registerMachine(machine: string, client: string, record: TaskRecord): Promise<void> {
  try {
    await removeMachineFiles(machine);
    rmSync(linkOf(machine), { force: true });
    await inDirectory(OWNERS_DIRECTORY, () => symlinkSync(client, linkOf(machine)));
    await inDirectory(FILES_DIRECTORY, () => {
      mkdirSync(machinePaths(machine).directory, { recursive: true, mode: 0o700 });
    });
    claimMachine(machine);
    writeTaskRecord(machine, record);
  } catch (error) {
    throw fileErrorOf(machine, error);
  }
}

/** Records that this plugin process has a machine: it has started or recovered it. Does nothing if the machine has no files any more. */
export function claimMachine(machine: string): void {
  const own = identify(process.pid);
  if (own === undefined) return;
  ifThere(() => writeAtomicallySync(machinePaths(machine).plugin, `${own.pid} ${own.startTime}\n`), undefined);
}

/** Whether another plugin process that still runs has a machine: an agent may use a new one before the last one has ended. */
export function isClaimedByOther(machine: string): boolean {
  const [pid, startTime] = (readIfThere(machinePaths(machine).plugin) ?? "").trim().split(" ").map(Number);
  if (pid === undefined || startTime === undefined || pid === process.pid) return false;
  return isAlive({ pid, startTime });
}

/** Whether a machine is registered, by any agent of this host. */
export function isRegistered(machine: string): boolean {
  return lstatSync(linkOf(machine), { throwIfNoEntry: false }) !== undefined;
}

/** The registered machines of all agents of this host, each with its client. */
export async function allMachines(): Promise<{ readonly machine: string; readonly client: string }[]> {
  const found: { readonly machine: string; readonly client: string }[] = [];
  for (const machine of (await readdir(OWNERS_DIRECTORY).catch(ignoreMissing)) ?? []) {
    const client = await readlink(linkOf(machine)).catch(ignoreMissing);
    if (client !== undefined) found.push({ machine, client });
  }
  return found;
}

/** The registered machines of a client. */
export async function machinesOfClient(client: string): Promise<string[]> {
  return (await allMachines()).flatMap((each) => (each.client === client ? [each.machine] : []));
}

/** Unregisters a machine after all its other parts have been removed. Idempotent. */
export async function unregisterMachine(machine: string): Promise<void> {
  rmSync(linkOf(machine), { force: true });
  for (const each of [FILES_DIRECTORY, OWNERS_DIRECTORY, dirname(FILES_DIRECTORY)]) await removeIfEmpty(each);
}
