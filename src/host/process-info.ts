import { closeSync, readdirSync } from "node:fs";
import { inodeInMemory, openPidfd, signalPidfd } from "./libc";
import { readIfThere } from "./read-file";

/** A process that cannot be mistaken for a later one with the same PID. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between the host's boot and the start of the process, field 22 of /proc/PID/stat. */
  readonly startTime: number;
}

/** What /proc/PID/stat tells of a process. */
export interface ProcessStat extends ProcessIdentity {
  readonly parent: number;
  /** "Z" and "X" are dead processes that nobody has waited for. */
  readonly state: string;
}

/** Parses /proc/PID/stat; the command's name may hold spaces and parentheses. Undefined for anything else. */
export function parseStat(text: string): ProcessStat | undefined {
  const end = text.lastIndexOf(")");
  const pid = Number.parseInt(text, 10);
  if (end < 0 || Number.isNaN(pid)) return undefined;
  const fields = text
    .slice(end + 2)
    .trim()
    .split(" ");
  const [state, parent] = fields;
  const startTime = fields[19];
  if (state === undefined || parent === undefined || startTime === undefined) return undefined;
  return { pid, state, parent: Number(parent), startTime: Number(startTime) };
}

/** PIDs of a process from the reader's PID namespace inwards, from NSpid in /proc/PID/status; empty when not told. */
export function parseNamespacePids(status: string): readonly number[] {
  const line = /^NSpid:((?:\s+\d+)+)\s*$/m.exec(status)?.[1];
  return line === undefined ? [] : line.trim().split(/\s+/).map(Number);
}

/** Whether /proc/PID/status tells that a signal is caught, or blocked to be taken later (proc_pid_status(5)). */
export function parseTakesSignal(status: string, signal: number): boolean {
  return ["SigCgt", "SigBlk"].some((name) => {
    const mask = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1];
    return mask !== undefined && ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
  });
}

/** Parses /proc/PID/task/TID/children. */
export function parseChildren(text: string): readonly number[] {
  return text.trim() === "" ? [] : text.trim().split(/\s+/).map(Number);
}

/** What this driver asks of the process table; the tests give tables of their own. */
export interface ProcessTable {
  /** Undefined when the process is gone. */
  stat(pid: number): ProcessStat | undefined;
  /** PIDs from our namespace inwards; empty when the process is gone. */
  namespacePids(pid: number): readonly number[];
  children(pid: number): readonly number[];
  /** Identifies the program a process runs: device and inode; undefined when the process is gone or a zombie. */
  program(pid: number): string | undefined;
}

/** The host's processes, from /proc. A process that ends while it is read counts as gone. */
export const hostProcesses: ProcessTable = {
  stat: (pid) => parseStat(readIfThere(`/proc/${pid}/stat`) ?? ""),
  namespacePids: (pid) => parseNamespacePids(readIfThere(`/proc/${pid}/status`) ?? ""),
  children: (pid) => {
    const listed = readIfThere(`/proc/${pid}/task/${pid}/children`);
    return listed === undefined ? scanChildren(pid) : parseChildren(listed);
  },
  // Not stat(2): a container runs programs from file systems of its own, which may hang.
  program: (pid) => inodeInMemory(`/proc/${pid}/exe`),
};

/** Whether a process does something of its own about a signal; true for one that is gone. */
export function takesSignal(pid: number, signal: number): boolean {
  const status = readIfThere(`/proc/${pid}/status`);
  return status === undefined || parseTakesSignal(status, signal);
}

/** The identity of a living process; undefined for one that is gone or only waits to be reaped. */
export function identify(pid: number, table: ProcessTable = hostProcesses): ProcessIdentity | undefined {
  const stat = table.stat(pid);
  return stat === undefined || stat.state === "Z" || stat.state === "X"
    ? undefined
    : { pid, startTime: stat.startTime };
}

/** Whether the process still runs, and is not another one with its PID. */
export function isAlive(process: ProcessIdentity, table: ProcessTable = hostProcesses): boolean {
  return identify(process.pid, table)?.startTime === process.startTime;
}

/** Sends a signal to exactly this process; false when it is gone, also when its PID belongs to another by now. */
export function signalProcess(target: ProcessIdentity, signal: number): boolean {
  const pidfd = openPidfd(target.pid);
  if (pidfd === undefined) return false;
  try {
    return isAlive(target) && signalPidfd(pidfd, signal);
  } finally {
    closeSync(pidfd);
  }
}

/** Kernels without CONFIG_PROC_CHILDREN have no list, so everybody is asked for the parent. */
function scanChildren(parent: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => hostProcesses.stat(pid)?.parent === parent);
}
