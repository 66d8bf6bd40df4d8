/**
 * Bindings to the kernel, for what the runtime's API lacks. A file here wraps one facility under its name in the manual pages: locks,
 * mounts, overlayfs, pidfds, namespaces, packet sockets, sysctls; subfolders have the control groups, netlink, and the builder of small
 * executables that consist of system calls. Nothing here knows systemd-nspawn, Nomad or images.
 *
 * Terms: a *process identity* is a PID with the start time of its process, so that a reused PID is not mistaken for it; a *detached
 * mount* is a mount that has only a descriptor; a *rooted path* is resolved as a process with that root would, so that no symlink of an
 * untrusted tree leads out of it.
 *
 * This file is about processes: what /proc says about them, the programs they run, and the capabilities of this one; and the CPU's clock.
 */

import { ptr } from "bun:ffi";
import { closeSync, readdirSync, readFileSync } from "node:fs";
import { readIfThere } from "../lib/files";
import { AT_FDCWD, CAPABILITY_VERSION_3, PR_SET_NO_NEW_PRIVS, SYS } from "./constants";
import { check, cString, libc } from "./ffi";
import { openPidfd, signalPidfd } from "./pidfd";

/** A process's privileges, from /proc/PID/status (proc_pid_status(5)). */
export interface ProcessRights {
  /** Capabilities as bit masks. */
  readonly bounding: bigint;
  readonly inheritable: bigint;
  readonly permitted: bigint;
  readonly noNewPrivileges: boolean;
  /** How many system call filters it has. */
  readonly filters: number;
}

/** Reads a status file. @throws Error if it is not one */
export function parseRights(status: string): ProcessRights {
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(status)?.[1];
  const mask = (name: string): bigint => {
    const value = field(name);
    if (value === undefined) throw new Error(`/proc/PID/status has no ${name}.`);
    return BigInt(`0x${value}`);
  };
  return {
    bounding: mask("CapBnd"),
    inheritable: mask("CapInh"),
    permitted: mask("CapPrm"),
    noNewPrivileges: field("NoNewPrivs") === "1",
    // Linux before 5.9 reports only whether filters exist.
    filters: Number(field("Seccomp_filters") ?? (field("Seccomp") === "2" ? 1 : 0)),
  };
}

/** The host's ID for an ID in a user namespace, by its uid_map or gid_map; undefined if it is not mapped. */
export function hostId(map: string, id: number): number | undefined {
  for (const line of map.split("\n")) {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number);
    if (inside === undefined || outside === undefined || count === undefined) continue;
    if (id >= inside && id < inside + count) return outside + id - inside;
  }
  return undefined;
}

/** The id of the host's current boot; it changes with every reboot. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Identifies a process even if a later one gets the same PID. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks between the host's boot and the start of the process, field 22 of /proc/PID/stat. */
  readonly startTime: number;
}

interface ProcessStat extends ProcessIdentity {
  readonly parent: number;
  /** "Z" and "X" are dead processes that were not reaped. */
  readonly state: string;
}

/** Parses /proc/PID/stat; the command's name may contain spaces and parentheses. Undefined for any other text. */
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

/** PIDs of a process from the reader's PID namespace inwards, from NSpid in /proc/PID/status; empty if not reported. */
export function parseNamespacePids(status: string): readonly number[] {
  const line = /^NSpid:((?:\s+\d+)+)\s*$/m.exec(status)?.[1];
  return line === undefined ? [] : line.trim().split(/\s+/).map(Number);
}

/** Whether /proc/PID/status shows that a signal is caught, or blocked to be accepted later (proc_pid_status(5)). */
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

/** What this driver reads from the process table; tests use fake ones. */
export interface ProcessTable {
  /** Undefined if the process is gone. */
  stat(pid: number): ProcessStat | undefined;
  /** PIDs from our namespace inwards; empty if the process is gone. */
  namespacePids(pid: number): readonly number[];
  children(pid: number): readonly number[];
  /** Identifies the program a process runs: device and inode; undefined if the process is gone or a zombie. */
  program(pid: number): string | undefined;
  /** Its arguments, each with a NUL after it (proc_pid_cmdline(5)); undefined if the process is gone. */
  arguments(pid: number): string | undefined;
  /** The name of a process (proc_pid_comm(5)); "" if it is gone. */
  name(pid: number): string;
}

/** The host's processes, from /proc. A process that ends while it is read counts as gone. */
export const hostProcesses: ProcessTable = {
  stat: (pid) => parseStat(readIfThere(`/proc/${pid}/stat`) ?? ""),
  namespacePids: (pid) => parseNamespacePids(readIfThere(`/proc/${pid}/status`) ?? ""),
  children: (pid) => {
    const listed = readIfThere(`/proc/${pid}/task/${pid}/children`);
    return listed === undefined ? scanChildren(pid) : parseChildren(listed);
  },
  // Not stat(2): a container runs programs from its own file systems, which may hang.
  program: (pid) => inodeInMemory(`/proc/${pid}/exe`),
  arguments: (pid) => readIfThere(`/proc/${pid}/cmdline`),
  name: (pid) => (readIfThere(`/proc/${pid}/comm`) ?? "").trimEnd(),
};

/** Whether a process handles a signal itself; true if the process is gone. */
export function takesSignal(pid: number, signal: number): boolean {
  const status = readIfThere(`/proc/${pid}/status`);
  return status === undefined || parseTakesSignal(status, signal);
}

/** The identity of a living process; undefined if it is gone or a zombie. */
export function identify(pid: number, table: ProcessTable = hostProcesses): ProcessIdentity | undefined {
  const stat = table.stat(pid);
  return stat === undefined || stat.state === "Z" || stat.state === "X"
    ? undefined
    : { pid, startTime: stat.startTime };
}

/** Whether this process still runs; false if another one has its PID. */
export function isAlive(process: ProcessIdentity, table: ProcessTable = hostProcesses): boolean {
  return identify(process.pid, table)?.startTime === process.startTime;
}

/** Sends a signal to exactly this process; false if it is gone, also if its PID was reused. */
export function signalProcess(target: ProcessIdentity, signal: number): boolean {
  const pidfd = openPidfd(target.pid);
  if (pidfd === undefined) return false;
  using open = new DisposableStack();
  open.adopt(pidfd, closeSync);
  return isAlive(target) && signalPidfd(pidfd, signal);
}

/** Kernels without CONFIG_PROC_CHILDREN have no list, so the parent of every process is read. */
function scanChildren(parent: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => hostProcesses.stat(pid)?.parent === parent);
}

/** Keeps only some capabilities (numbers of capabilities(7)) on this thread; execve gains no others. @throws CallError */
export function keepCapabilities(kept: readonly number[]): void {
  check("prctl", libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  const mask = kept.reduce((all, capability) => all | (1n << BigInt(capability)), 0n);
  const [low, high] = [Number(mask & 0xffff_ffffn), Number(mask >> 32n)];
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0);
  const sets = Uint32Array.of(low, low, 0, high, high, 0);
  check("capset", libc().syscall(SYS.capset, ptr(header), ptr(sets), 0, 0, 0));
}

const AT_STATX_DONT_SYNC = 0x4000;
const STATX_INO = 0x100;
/** Size of struct statx, and the offsets of its inode and device numbers (linux/stat.h). */
const STATX_SIZE = 256;
const STATX = { inode: 32, major: 136, minor: 140 } as const;

/**
 * Device and inode of the file at a path, from the kernel's cache: the file system, which may be a container's and hang,
 * is not queried (statx(2), AT_STATX_DONT_SYNC). Undefined if no such file exists.
 */
function inodeInMemory(path: string): string | undefined {
  const name = cString(path);
  const found = new DataView(new ArrayBuffer(STATX_SIZE));
  const result = libc().syscall(SYS.statx, AT_FDCWD, ptr(name), AT_STATX_DONT_SYNC, STATX_INO, ptr(found));
  if (Number(result) !== 0) return undefined;
  const device = `${found.getUint32(STATX.major, true)}:${found.getUint32(STATX.minor, true)}`;
  return `${device}:${found.getBigUint64(STATX.inode, true)}`;
}

const CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq";

/**
 * The clock of one CPU in MHz, as a Nomad client counts it: the base frequency if the kernel reports it, otherwise the
 * highest, otherwise the current one (the kernel's cpu-freq documentation, /proc/cpuinfo). 0 if none is reported.
 */
export function cpuClock(read: (path: string) => string | undefined = readIfThere): number {
  for (const file of ["base_frequency", "cpuinfo_max_freq"]) {
    const kilohertz = Number(read(`${CPUFREQ}/${file}`)?.trim());
    if (kilohertz > 0) return Math.round(kilohertz / 1000);
  }
  return Math.round(Number(/^cpu MHz\s*:\s*([\d.]+)$/m.exec(read("/proc/cpuinfo") ?? "")?.[1] ?? 0));
}
