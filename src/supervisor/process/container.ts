import { existsSync } from "node:fs";
import { becomesTrue, settles } from "../../lib/deadline";
import { type Certain, certain } from "../../lib/promises";
import { setCpus } from "../../linux/cgroup/cpuset";
import { type CgroupLayout, readCgroupLayout } from "../../linux/cgroup/layout";
import { killCgroup, removeCgroup } from "../../linux/cgroup/manager";
import { isAlive, type ProcessIdentity, signalProcess } from "../../linux/proc";
import { lostExit } from "../../nspawn/exit";
import { heldLocks, removeLeftovers } from "../../nspawn/leftovers";
import type { Exit } from "../../nspawn/payload";
import { findLeader, signalPayload, waitForProcess } from "../../nspawn/processes";
import { SIGKILL } from "../../values/signals";
import type { Container, ContainerRef } from "../supervisor";
import {
  lockOrAwait,
  type RunningState,
  readExit,
  readRunning,
  removeState,
  type StateFiles,
  writeState,
} from "./state";
import { connectStatus, type StatusConnection } from "./status-protocol";

const LEADER_MS = 1_000;
/** Time for systemd-nspawn to clean up, which includes removing an --ephemeral copy of any size. */
const CLEANUP_MS = 10_000;
/** Between two looks at an ending process. */
const PACE = { firstMs: 1, longestMs: 50 };

/**
 * Kills a container with SIGKILL. First its PID 1, and with it everything in its PID namespace: systemd-nspawn then removes its
 * mounts, network interfaces, port forwards and copies itself. If it does not finish in time, it is killed as well.
 *
 * @returns the lock files that systemd-nspawn held
 */
async function endContainer(layout: CgroupLayout, machine: string, state: RunningState): Promise<readonly string[]> {
  const { main } = state;
  const leader = isAlive(main) ? await waitForProcess(main.pid, () => findLeader(main.pid), LEADER_MS) : state.leader;
  if (leader !== undefined) signalProcess(leader, SIGKILL);
  let { locks } = state;
  if (leader === undefined || !(await isGone(main, CLEANUP_MS))) {
    if (isAlive(main) && locks.length === 0) locks = heldLocks(main.pid);
    signalProcess(main, SIGKILL);
  }
  await killCgroup(layout, machine);
  await isGone(main, CLEANUP_MS);
  return locks;
}

/** Waits until a process that is not a child of this one has exited, at most `timeoutMs`; false if it is still running. */
function isGone(target: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  return becomesTrue(() => !isAlive(target), { ...PACE, timeoutMs });
}

/** How long a shim may take from its own start to the container's start. */
const BEGIN_MS = 10_000;
/** How long it may take to respond. */
const ANSWER_MS = 1_000;
/** How long it may take to record its container's exit: it waits for remaining processes and for the end of stderr. */
const RECORD_MS = 5_000;
/** How long a shim may still write the last log lines to a reader when its container is released. */
const LAST_LINES_MS = 500;

/** What following a container needs besides its files. */
export interface FollowContext {
  warn(message: string, machine: string): void;
  /** Called when its shim was killed before the container had exited. */
  readonly shimKilled?: () => void;
}

/**
 * A container and the connection to its shim. A shim that is gone without having recorded an exit was killed: its container, whose exit no
 * process would record, is killed too, and that is the exit.
 */
export class ShimContainer implements Container {
  readonly ref: ContainerRef;
  readonly started: Promise<void>;
  readonly exit: Certain<Exit>;
  readonly #files: StateFiles;
  readonly #context: FollowContext;
  readonly #layout = readCgroupLayout();
  readonly #settled = Promise.withResolvers<Exit>();
  readonly #started = Promise.withResolvers<void>();
  readonly #restartListeners = new Set<() => void>();
  /** Held until the files are removed: a late shim then finds no launch request. */
  #lock: Disposable | undefined;
  #connection: StatusConnection | undefined;
  #running: RunningState | undefined;
  #startedAt = Date.now();
  #exit: Exit | undefined;
  #reportedPid: number | undefined;
  #locks: readonly string[] | undefined;
  #ended: Promise<void> | undefined;
  #released: Promise<void> | undefined;

  private constructor(files: StateFiles, ref: ContainerRef, context: FollowContext) {
    this.#files = files;
    this.ref = ref;
    this.#context = context;
    this.exit = certain(this.#settled.promise, lostExit);
    this.started = Promise.race([this.#started.promise, this.exit.then(() => {})]);
  }

  /** Follows the container whose state is in `files`, running or exited. */
  static async follow(files: StateFiles, ref: ContainerRef, context: FollowContext): Promise<ShimContainer> {
    const container = new ShimContainer(files, ref, context);
    await container.#connect();
    return container;
  }

  get startedAt(): number {
    return this.#startedAt;
  }

  mainPid(): number | undefined {
    const running = this.#exit === undefined ? this.#running : undefined;
    return running !== undefined && isAlive(running.main) ? running.main.pid : undefined;
  }

  onRestart(listener: () => void): () => void {
    this.#restartListeners.add(listener);
    return () => this.#restartListeners.delete(listener);
  }

  async signal(signal: number): Promise<boolean> {
    const pid = this.mainPid();
    // The exit then does not count as an OOM kill, even if the kernel killed a process before.
    if (signal === SIGKILL && pid !== undefined) await this.#stopShim();
    const hold = () => this.#connection?.inspect();
    return pid === undefined || signalPayload(pid, this.ref.mode, signal, { hold });
  }

  async setCpus(cpus: string): Promise<void> {
    const problem = this.#exit === undefined ? setCpus(this.#layout, this.ref.machine, cpus) : undefined;
    if (problem !== undefined) throw new Error(problem);
  }

  kill(): Promise<void> {
    if (this.#exit !== undefined) return Promise.resolve();
    this.#ended ??= this.#end().catch((error: unknown) => {
      this.#ended = undefined;
      throw error;
    });
    return this.#ended;
  }

  release(): Promise<void> {
    this.#released ??= this.#remove().catch((error: unknown) => {
      this.#released = undefined;
      throw error;
    });
    return this.#released;
  }

  /** Closes the connection; the container keeps running. */
  detach(): void {
    this.#connection?.close();
    this.#lock?.[Symbol.dispose]();
  }

  async #connect(): Promise<void> {
    const files = this.#files;
    const reported = () => existsSync(files.running) || existsSync(files.exit);
    this.#lock = await lockOrAwait(files, reported, BEGIN_MS);
    this.#running = readRunning(files);
    const gone = () => this.#onShimGone();
    this.#connection = await connectStatus(files.socket, {
      running: (mainPid) => this.#onRunning(mainPid),
      started: () => this.#started.resolve(),
      exited: gone,
      gone,
    });
    const recorded = readExit(files);
    if (recorded !== undefined) this.#settle(recorded);
    else if (this.#connection === undefined) await gone();
    this.#startedAt = this.#running?.startedAt ?? this.#exit?.at ?? this.#startedAt;
  }

  #onRunning(mainPid: number): void {
    this.#current();
    const restarted = this.#reportedPid !== undefined && this.#reportedPid !== mainPid;
    this.#reportedPid = mainPid;
    if (restarted) for (const listener of this.#restartListeners) listener();
  }

  async #onShimGone(): Promise<void> {
    if (this.#exit !== undefined) return;
    try {
      const recorded = readExit(this.#files);
      if (recorded === undefined) this.#context.shimKilled?.();
      this.#settle(recorded ?? (await abandoned(this.#layout, this.#files, this.ref)));
    } catch (error) {
      this.#settle(lostExit(error));
    }
  }

  #settle(exit: Exit): void {
    this.#exit ??= exit;
    this.#settled.resolve(this.#exit);
  }

  #current(): RunningState | undefined {
    this.#running = readRunning(this.#files) ?? this.#running;
    return this.#running;
  }

  /** From then on a reboot does not start the container again. A shim that cannot be reached is not asked. */
  async #stopShim(): Promise<void> {
    if (this.#connection !== undefined) await settles(this.#connection.stop(), ANSWER_MS);
  }

  async #end(): Promise<void> {
    const { machine } = this.ref;
    await this.#stopShim();
    // Read the state only now: a container that just rebooted has a new systemd-nspawn.
    const state = this.#current();
    if (state !== undefined) this.#locks = await endContainer(this.#layout, machine, state);
    if (state !== undefined && !(await settles(this.#settled.promise, RECORD_MS))) {
      this.#context.warn(`The shim of container ${machine} did not report its exit; killing the shim.`, machine);
      signalProcess(state.supervisor, SIGKILL);
    }
    await this.#settled.promise;
  }

  async #remove(): Promise<void> {
    const { machine } = this.ref;
    const state = this.#current();
    await this.kill();
    if (state !== undefined && !(await isGone(state.supervisor, LAST_LINES_MS))) {
      signalProcess(state.supervisor, SIGKILL);
      await isGone(state.supervisor, LAST_LINES_MS);
    }
    this.#connection?.close();
    const locks = this.#locks ?? state?.locks ?? [];
    const problems = [
      ...(await removeCgroup(this.#layout, machine)),
      ...(await removeLeftovers(machine, { locks })).problems,
    ];
    for (const problem of problems) this.#context.warn(problem, machine);
    removeState(this.#files);
    this.#lock?.[Symbol.dispose]();
  }
}

/** Kills what a killed shim left and records that as the exit, for plugins that attach later. */
async function abandoned(layout: CgroupLayout, files: StateFiles, ref: ContainerRef): Promise<Exit> {
  const state = readRunning(files);
  const message = `The shim of container ${ref.machine} was killed, so the driver killed the container as well.`;
  const exit: Exit = { code: 0, signal: SIGKILL, oomKilled: false, message, at: Date.now() };
  // The shim was killed before it could record the process that it had just started.
  if (state === undefined) {
    await killCgroup(layout, ref.machine);
    return exit;
  }
  writeState(files.running, { ...state, locks: await endContainer(layout, ref.machine, state) });
  writeState(files.exit, exit);
  return exit;
}
