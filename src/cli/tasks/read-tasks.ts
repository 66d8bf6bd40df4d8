/**
 * `ps`, `inspect`, `logs`, `stats` and `events`: the tasks of this host's agents, without Nomad. They read the records of the driver
 * below /run (machine/), what the supervisor has of a container, and /proc, and change nothing: neither a running plugin nor a container
 * notices them. read-tasks.ts collects what is known of each task, and resolve-task.ts finds the one that an argument means.
 */

import { findContainerCgroups, readFigures } from "../../linux/cgroup/membership";
import type { CgroupFigures } from "../../linux/cgroup/stats";
import { allMachines } from "../../machine/registry";
import { readTaskRecord, type TaskRecord } from "../../machine/task-record";
import { readRecord } from "../../network/private/records";
import { findLeader } from "../../nspawn/processes";
import { createLogger } from "../../plugin/logger";
import { Supervisors } from "../../supervisor/supervisors";
import { unitName } from "../../supervisor/systemd/unit-properties";

/** What a task is doing: `preparing` has no container yet, or not any more; `unknown` has a record that cannot be read. */
export type TaskState = "preparing" | "starting" | "running" | "restarting" | "exited" | "unknown";

/** A task of an agent of this host. */
export interface ListedTask {
  readonly machine: string;
  /** The directory of its agent's allocations. */
  readonly client: string;
  readonly state: TaskState;
  readonly supervisor: "systemd" | "process" | undefined;
  /** Its unit; undefined without systemd as PID 1. */
  readonly unit: string | undefined;
  /** PID of systemd-nspawn. */
  readonly nspawnPid: number | undefined;
  /** PID of the container's PID 1. */
  readonly leader: number | undefined;
  /** Bytes that it uses. */
  readonly memory: number | undefined;
  /** Of a private network, without prefix lengths. */
  readonly addresses: readonly string[];
  /** Milliseconds since the epoch. */
  readonly startedAt: number | undefined;
  /** Undefined for a task that an earlier version of the driver started. */
  readonly record: TaskRecord | undefined;
}

/** The tasks of all agents of this host, by name. @throws Error for a user other than root */
export async function readTasks(): Promise<ListedTask[]> {
  requireRoot();
  await using supervisors = new Supervisors(createLogger("nspawn", () => {}));
  const tasks: ListedTask[] = [];
  for (const { machine, client } of await allMachines()) tasks.push(await readTask(supervisors, machine, client));
  return tasks.toSorted((one, other) => one.machine.localeCompare(other.machine));
}

/** The records are readable by root alone. @throws Error */
function requireRoot(): void {
  if (process.getuid?.() !== 0)
    throw new Error("This command reads the driver's records, which only root can: run it as root.");
}

async function readTask(supervisors: Supervisors, machine: string, client: string): Promise<ListedTask> {
  const unreadable = () => ({ unreadable: true }) as const;
  const view = await supervisors.view(machine).catch(unreadable);
  const record = await readTaskRecord(machine);
  const network = await readRecord(machine).catch(() => undefined);
  const known = view !== undefined && "supervisor" in view ? view : undefined;
  const nspawnPid = known?.mainPid;
  const leader = nspawnPid === undefined ? undefined : findLeader(nspawnPid)?.pid;
  const { memory } = nspawnPid === undefined ? {} : figuresOf(nspawnPid, machine);
  const started = known === undefined || known.startedAt === 0 ? undefined : known.startedAt;
  return {
    machine,
    client,
    state: stateOf(view, leader),
    supervisor: known?.supervisor,
    unit: known?.supervisor === "systemd" ? unitName(machine) : undefined,
    nspawnPid,
    leader,
    memory: memory === undefined ? undefined : Number(memory.usage),
    addresses: (network?.addresses ?? []).map((address) => address.replace(/\/\d+$/, "")),
    startedAt: started,
    record,
  };
}

function stateOf(
  view: { readonly mainPid: number | undefined; readonly exited: boolean } | { readonly unreadable: true } | undefined,
  leader: number | undefined,
): TaskState {
  if (view === undefined) return "preparing";
  if ("unreadable" in view) return "unknown";
  if (view.exited) return "exited";
  if (view.mainPid === undefined) return "restarting";
  return leader === undefined ? "starting" : "running";
}

/** What the container of a systemd-nspawn uses. */
export function figuresOf(nspawnPid: number, machine: string): CgroupFigures {
  return readFigures(findContainerCgroups(nspawnPid, machine));
}
