import { pollUntil } from "../lib/deadline";
import {
  hostProcesses,
  identify,
  isAlive,
  type ProcessIdentity,
  type ProcessTable,
  signalProcess,
  takesSignal,
} from "../linux/proc";
import { SIGKILL, signalName } from "../values/signals";
import { type PayloadMode, WRAPPER } from "./payload";

/** systemd-nspawn forks an outer child, which forks the container's PID 1; it never forks deeper. */
const MAX_DEPTH = 2;
/** Searches at the same time share the processor: each adds so many milliseconds to the pauses of all. */
const SHARE_MS = 4;
let searches = 0;
/** Most containers start within a second; after that, polling is slower. */
const PACE = {
  firstMs: 1,
  longestMs: (waitedMs: number) => Math.max(searches * SHARE_MS, waitedMs < 1_000 ? 4 : waitedMs < 10_000 ? 25 : 100),
};
const DEFAULT_TIMEOUT_MS = 10_000;
/** Of so many polls, one looks whether systemd-nspawn still runs. */
const CHECK_MAIN = 4;
/** Of so many looks at a copy of systemd-nspawn, one looks at its program too. */
const CHECK_PROGRAM = 4;

/**
 * The container's PID 1: below systemd-nspawn, the process that is PID 1 of a PID namespace one level further in. While
 * a container starts it is a grandchild for a moment, then systemd-nspawn adopts it as the subreaper.
 */
export function findLeader(mainPid: number, table: ProcessTable = hostProcesses): ProcessIdentity | undefined {
  const depth = table.namespacePids(mainPid).length;
  if (depth === 0) return undefined;
  let generation = table.children(mainPid);
  for (let level = 0; level < MAX_DEPTH; level += 1) {
    const leader = generation.find((pid) => {
      const pids = table.namespacePids(pid);
      return pids.length === depth + 1 && pids.at(-1) === 1;
    });
    if (leader !== undefined) return identify(leader, table);
    generation = generation.flatMap((pid) => table.children(pid));
  }
  return undefined;
}

/** How systemd-nspawn's stub init names itself (nspawn-stub-pid1.c; up to 251 and since then). */
const STUB_INIT = ["STUBINIT", "(sd-stubinit)"];

/**
 * The process that receives the task's signals: the leader, or with mode "pid2" the first child of the stub init, which adopts orphans and
 * so may have more children. That child is PID 2, or a later one if systemd-nspawn ran the image's getent(1) before, to look up the user
 * of the task (nspawn-setuid.c). Undefined while it does not exist.
 */
export function findPayload(
  mainPid: number,
  mode: PayloadMode,
  table: ProcessTable = hostProcesses,
): ProcessIdentity | undefined {
  const leader = findLeader(mainPid, table);
  return leader === undefined ? undefined : payloadOf(leader, mode, table);
}

function payloadOf(leader: ProcessIdentity, mode: PayloadMode, table: ProcessTable): ProcessIdentity | undefined {
  if (mode !== "pid2") return leader;
  if (!STUB_INIT.includes(table.name(leader.pid))) return undefined;
  const depth = table.namespacePids(leader.pid).length;
  const [first] = table
    .children(leader.pid)
    .flatMap((pid) => {
      const pids = table.namespacePids(pid);
      return pids.length === depth ? [{ pid, inside: pids.at(-1) ?? 0 }] : [];
    })
    .sort((one, other) => one.inside - other.inside);
  return first === undefined ? undefined : identify(first.pid, table);
}

/**
 * The payload once it has executed the container's own program. Before that exec it is a copy of systemd-nspawn, in which a
 * signal would be lost: it has the signals blocked, and as PID 1 without a handler it ignores them afterwards.
 */
export function findStartedPayload(
  mainPid: number,
  mode: PayloadMode,
  table: ProcessTable = hostProcesses,
): ProcessIdentity | undefined {
  return new ContainerSearch(mainPid, mode, table).started();
}

/** A repeated search for a container's processes while it starts, which reads of /proc only what is not known yet. */
export class ContainerSearch {
  #mainProgram: string | undefined;
  #mainArguments: string | undefined;
  #leader: ProcessIdentity | undefined;
  #payload: ProcessIdentity | undefined;
  #wasCopy = false;
  #looks = 0;

  constructor(
    private readonly mainPid: number,
    private readonly mode: PayloadMode,
    private readonly table: ProcessTable = hostProcesses,
  ) {}

  /** The container's PID 1, as findLeader(); once found, it stays the same. */
  leader(): ProcessIdentity | undefined {
    this.#leader ??= findLeader(this.mainPid, this.table);
    return this.#leader;
  }

  /** As findPayload(); once found, it stays the same. */
  payload(): ProcessIdentity | undefined {
    const leader = this.leader();
    if (leader !== undefined) this.#payload ??= payloadOf(leader, this.mode, this.table);
    return this.#payload;
  }

  /** As findStartedPayload(). */
  started(): ProcessIdentity | undefined {
    const payload = this.payload();
    if (payload === undefined) return undefined;
    const { pid } = payload;
    return this.#isStillCopy(pid) || this.isWrapper(pid) || this.#isAtExec(pid) ? undefined : payload;
  }

  /** As isCopy(), for a look that is repeated: as long as the arguments are those of systemd-nspawn, the program is looked at only sometimes. */
  #isStillCopy(pid: number): boolean {
    this.#looks += 1;
    const shortly = this.#wasCopy && this.#looks % CHECK_PROGRAM !== 0;
    this.#wasCopy = (shortly && this.table.arguments(pid) === this.#mainArguments) || this.isCopy(pid);
    return this.#wasCopy;
  }

  /** Whether a process is within execve(2): it has its new program already, and no arguments yet (create_elf_tables() of the kernel). */
  #isAtExec(pid: number): boolean {
    return this.table.arguments(pid) === "";
  }

  /** Whether a process will become the payload, and does not have its rights yet. */
  isWrapper(pid: number): boolean {
    return this.table.arguments(pid)?.split("\0", 1)[0] === WRAPPER;
  }

  /**
   * Whether a process is a copy of systemd-nspawn, which it forked (true also if the process is gone): it runs the same program with the
   * same arguments. A systemd-nspawn that is the container's own program has others.
   */
  isCopy(pid: number): boolean {
    const program = this.table.program(pid);
    if (program === undefined) return true;
    this.#mainProgram ??= this.table.program(this.mainPid);
    if (program !== this.#mainProgram) return false;
    this.#mainArguments ??= this.table.arguments(this.mainPid);
    return this.table.arguments(pid) === this.#mainArguments;
  }
}

/**
 * Repeats a search of the process table until it finds something, `mainPid` is gone, or the time is over: immediately, then
 * after 1, 2, 4, 4… ms, every 25 ms after the first second, and every 100 ms after ten; more rarely while many searches run. Linux
 * has no event for a fork or exec of another process, so this polls with a deadline; it only waits for containers that are still starting.
 */
export async function waitForProcess<Found>(
  mainPid: number,
  inspect: () => Found | undefined,
  timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<Found | undefined> {
  const main = identify(mainPid);
  let tries = 0;
  const check = (): { readonly found?: Found } | undefined => {
    if (main === undefined || (tries % CHECK_MAIN === 0 && !isAlive(main))) return {};
    tries += 1;
    const found = inspect();
    return found === undefined ? undefined : { found };
  };
  searches += 1;
  try {
    return (await pollUntil(check, { ...PACE, timeoutMs }))?.found;
  } finally {
    searches -= 1;
  }
}

/**
 * Sends a signal to the payload of the systemd-nspawn with this PID: to the container's PID 1, or to PID 2 with mode
 * "pid2". If the container is still starting, waits for it, at most `timeoutMs`. Does nothing if it is gone.
 *
 * @returns false if the payload is PID 1 of its container and has no handler for the signal: the kernel then dropped it
 * @param hold called right before the signal, to take a pidfd of the payload from which its wait status is read later
 * @throws Error if the container is still not started after that time
 */
export async function signalPayload(
  mainPid: number,
  mode: PayloadMode,
  signal: number,
  { timeoutMs = DEFAULT_TIMEOUT_MS, hold }: { readonly timeoutMs?: number; readonly hold?: () => unknown } = {},
): Promise<boolean> {
  // SIGKILL is never lost, and it must be possible to kill a container that hangs in its start.
  const inspect = signal === SIGKILL ? findPayload : findStartedPayload;
  const payload = await waitForProcess(mainPid, () => inspect(mainPid, mode), timeoutMs);
  await hold?.();
  // Sent in spite of the deadline: to a container that is still being set up.
  const target = payload ?? findPayload(mainPid, mode);
  if (target !== undefined) {
    const delivered = mode === "pid2" || signal === SIGKILL || takesSignal(target.pid, signal);
    signalProcess(target, signal);
    return delivered;
  }
  if (identify(mainPid) !== undefined) {
    throw new Error(
      `Cannot send ${signalName(signal)}: systemd-nspawn (PID ${mainPid}) did not start the container's process within ${timeoutMs / 1000} s.`,
    );
  }
  // The process is gone and needs no signal.
  return true;
}
