import {
  hostProcesses,
  identify,
  isAlive,
  type ProcessIdentity,
  type ProcessTable,
  signalProcess,
  takesSignal,
} from "../host/process-info";
import { SIGKILL, signalName } from "../host/signals";
import type { PayloadMode } from "./supervisor";

/** systemd-nspawn forks an outer child that forks the container's PID 1, no deeper. */
const MAX_DEPTH = 2;
const FIRST_DELAY_MS = 1;
/** A container is started within a second as a rule; what takes longer can be looked at less often. */
const LONGEST_DELAY_MS = { atFirst: 4, later: 100 } as const;
const AT_FIRST_MS = 1_000;
const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * The container's PID 1: below systemd-nspawn, the process that is PID 1 of a PID namespace one level further in. While
 * a container starts it is a grandchild for a moment, then systemd-nspawn adopts it as the subreaper.
 */
export function findLeader(mainPid: number, table: ProcessTable = hostProcesses): ProcessIdentity | undefined {
  const depth = table.namespacePids(mainPid).length;
  if (depth === 0) return undefined;
  let generation = table.children(mainPid);
  for (let level = 0; level < MAX_DEPTH; level += 1) {
    const leader = generation.find((pid) => isPidInNamespace(table.namespacePids(pid), depth + 1, 1));
    if (leader !== undefined) return identify(leader, table);
    generation = generation.flatMap((pid) => table.children(pid));
  }
  return undefined;
}

/**
 * The process a signal to the task is for: the leader, or with mode "pid2" the leader's child that is PID 2 (the stub
 * init adopts orphans, so its children are more than that). Undefined while it does not exist.
 */
export function findPayload(
  mainPid: number,
  mode: PayloadMode,
  table: ProcessTable = hostProcesses,
): ProcessIdentity | undefined {
  const leader = findLeader(mainPid, table);
  if (leader === undefined || mode !== "pid2") return leader;
  const depth = table.namespacePids(leader.pid).length;
  const second = table.children(leader.pid).find((pid) => isPidInNamespace(table.namespacePids(pid), depth, 2));
  return second === undefined ? undefined : identify(second, table);
}

/**
 * The payload once it runs the container's own program. Before that exec it is a copy of systemd-nspawn, in which a
 * signal would be lost: it has the signals blocked, and as PID 1 without a handler it ignores them afterwards.
 */
export function findStartedPayload(
  mainPid: number,
  mode: PayloadMode,
  table: ProcessTable = hostProcesses,
): ProcessIdentity | undefined {
  const payload = findPayload(mainPid, mode, table);
  if (payload === undefined) return undefined;
  const program = table.program(payload.pid);
  return program === undefined || program === table.program(mainPid) ? undefined : payload;
}

/**
 * Repeats a look at the process table until it gives something, `mainPid` is gone, or the time is over: at once, then
 * after 1, 2, 4, 4… ms, and 100 ms apart after the first second. Linux tells nobody that a process forked or exec'ed, so the wait is bounded
 * rather than driven by an event; only a container in the middle of its start is ever waited for.
 */
export async function waitForProcess<Found>(
  mainPid: number,
  look: () => Found | undefined,
  timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<Found | undefined> {
  const main = identify(mainPid);
  const start = performance.now();
  for (let delay = FIRST_DELAY_MS; main !== undefined && isAlive(main); delay *= 2) {
    const found = look();
    if (found !== undefined) return found;
    const waited = performance.now() - start;
    if (waited >= timeoutMs) return undefined;
    const longest = waited < AT_FIRST_MS ? LONGEST_DELAY_MS.atFirst : LONGEST_DELAY_MS.later;
    delay = Math.min(delay, longest);
    await Bun.sleep(delay);
  }
  return undefined;
}

/**
 * Sends a signal to the payload of the systemd-nspawn with this PID: to the container's PID 1, or to PID 2 with mode
 * "pid2". A container in the middle of its start is waited for, `timeoutMs` at most. Does nothing when it is gone.
 *
 * @returns false where the payload is PID 1 of its container and has no handler for the signal: the kernel dropped it then
 * @param hold called right before: whoever wants to know how the signal ends the payload takes hold of it then
 * @throws Error when the container is still not started after that time
 */
export async function signalPayload(
  mainPid: number,
  mode: PayloadMode,
  signal: number,
  { timeoutMs = DEFAULT_TIMEOUT_MS, hold }: { readonly timeoutMs?: number; readonly hold?: () => unknown } = {},
): Promise<boolean> {
  // SIGKILL is never lost, and a container that hangs in its start must be killable.
  const look = signal === SIGKILL ? findPayload : findStartedPayload;
  const payload = await waitForProcess(mainPid, () => look(mainPid, mode), timeoutMs);
  await hold?.();
  // A payload that is the host's own systemd-nspawn cannot be told from one before its exec.
  const target = payload ?? findPayload(mainPid, mode);
  if (target !== undefined) {
    const heeds = mode === "pid2" || signal === SIGKILL || takesSignal(target.pid, signal);
    signalProcess(target, signal);
    return heeds;
  }
  if (identify(mainPid) !== undefined) {
    throw new Error(
      `${signalName(signal)} could not be sent: systemd-nspawn (PID ${mainPid}) has not started the container's process within ${timeoutMs / 1000} s.`,
    );
  }
  // It is gone, and needs no signal any more.
  return true;
}

function isPidInNamespace(pids: readonly number[], depth: number, pid: number): boolean {
  return pids.length === depth && pids.at(-1) === pid;
}
