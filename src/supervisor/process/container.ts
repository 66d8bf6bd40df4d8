import { existsSync } from "node:fs";
import { certain } from "../../lib/certain";
import { becomesTrue, settles } from "../../lib/deadline";
import { type CgroupLayout, readCgroupLayout } from "../../linux/cgroup/layout";
import { killCgroup, removeCgroup } from "../../linux/cgroup/manager";
import { isAlive, type ProcessIdentity, signalProcess } from "../../linux/proc";
import { lostExit } from "../../nspawn/exit";
import { heldLocks, removeRemains } from "../../nspawn/leftovers";
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

/** A container and the connection to its shim. */
export interface SupervisedProcess extends Container {
  /** Closes the connection; the container keeps running. */
  detach(): void;
}

/** What followContainer() needs besides the container. */
export interface FollowContext {
  warn(message: string): void;
}

/**
 * Follows a container through its shim. A shim that is gone without having recorded an exit was killed: its container, whose
 * exit no process would record, is killed too, and that is the exit.
 */
export async function followContainer(
  files: StateFiles,
  ref: ContainerRef,
  context: FollowContext,
): Promise<SupervisedProcess> {
  const layout = readCgroupLayout();
  const settled = Promise.withResolvers<Exit>();
  let exit: Exit | undefined;
  let locks: readonly string[] | undefined;
  let released: Promise<void> | undefined;
  let ended: Promise<void> | undefined;

  const settle = (value: Exit): void => {
    exit ??= value;
    settled.resolve(exit);
  };
  const gone = async (): Promise<void> => {
    if (exit !== undefined) return;
    try {
      settle(readExit(files) ?? (await abandoned(layout, files, ref)));
    } catch (error) {
      settle(lostExit(error));
    }
  };
  const reported = () => existsSync(files.running) || existsSync(files.exit);
  // Held until the files are removed: a late shim then finds no launch request.
  const lock = await lockOrAwait(files, reported, BEGIN_MS);
  const restartListeners = new Set<() => void>();
  let reportedPid: number | undefined;
  let running = readRunning(files);
  const connection: StatusConnection | undefined = await connectStatus(files.socket, {
    running: (mainPid) => {
      running = readRunning(files) ?? running;
      const restarted = reportedPid !== undefined && reportedPid !== mainPid;
      reportedPid = mainPid;
      if (restarted) for (const listener of restartListeners) listener();
    },
    exited: gone,
    gone,
  });
  const recorded = readExit(files);
  if (recorded !== undefined) settle(recorded);
  else if (connection === undefined) await gone();

  const current = (): RunningState | undefined => {
    running = readRunning(files) ?? running;
    return running;
  };
  const mainPid = (): number | undefined =>
    exit === undefined && running !== undefined && isAlive(running.main) ? running.main.pid : undefined;

  const end = async (): Promise<void> => {
    // A shim that cannot be reached is not asked to stop.
    if (connection !== undefined) await settles(connection.stop(), ANSWER_MS);
    // Read the state only now: a container that just rebooted has a new systemd-nspawn, and from now on it is not restarted again.
    const state = current();
    if (state !== undefined) locks = await endContainer(layout, ref.machine, state);
    if (state !== undefined && !(await settles(settled.promise, RECORD_MS))) {
      context.warn(`The shim of container ${ref.machine} did not report its exit; killing the shim.`);
      signalProcess(state.supervisor, SIGKILL);
    }
    await settled.promise;
  };
  const kill = (): Promise<void> => {
    if (exit !== undefined) return Promise.resolve();
    ended ??= end().catch((error: unknown) => {
      ended = undefined;
      throw error;
    });
    return ended;
  };
  const remove = async (): Promise<void> => {
    const state = current();
    await kill();
    if (state !== undefined && !(await isGone(state.supervisor, LAST_LINES_MS))) {
      signalProcess(state.supervisor, SIGKILL);
      await isGone(state.supervisor, LAST_LINES_MS);
    }
    connection?.close();
    const problems = [...(await removeCgroup(layout, ref.machine))];
    problems.push(...(await removeRemains(ref.machine, { locks: locks ?? state?.locks ?? [] })).problems);
    for (const problem of problems) context.warn(problem);
    removeState(files);
    lock?.[Symbol.dispose]();
  };

  return {
    ref,
    startedAt: running?.startedAt ?? exit?.at ?? Date.now(),
    exit: certain(settled.promise, lostExit),
    mainPid,
    onRestart: (listener) => {
      restartListeners.add(listener);
      return () => restartListeners.delete(listener);
    },
    signal: async (signal) => {
      const pid = mainPid();
      // The exit then does not count as an OOM kill, even if the kernel killed a process before.
      if (signal === SIGKILL && pid !== undefined && connection !== undefined)
        await settles(connection.stop(), ANSWER_MS);
      return pid === undefined || signalPayload(pid, ref.mode, signal, { hold: () => connection?.look() });
    },
    kill,
    release: () => {
      released ??= remove().catch((error: unknown) => {
        released = undefined;
        throw error;
      });
      return released;
    },
    detach: () => {
      connection?.close();
      lock?.[Symbol.dispose]();
    },
  };
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
