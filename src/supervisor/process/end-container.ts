import type { CgroupLayout } from "../../host/cgroup-layout";
import { killCgroup } from "../../host/cgroup-task";
import { isAlive, type ProcessIdentity, signalProcess } from "../../host/process-info";
import { SIGKILL } from "../../host/signals";
import { findLeader, waitForProcess } from "../payload";
import { heldLocks } from "../remains";
import type { RunningState } from "./state-files";

const LEADER_MS = 1_000;
/** Time for systemd-nspawn to clean up, which includes removing an --ephemeral copy of any size. */
const CLEANUP_MS = 10_000;
const FIRST_DELAY_MS = 1;
const LONGEST_DELAY_MS = 50;

/**
 * Kills a container with SIGKILL. First its PID 1, and with it everything in its PID namespace: systemd-nspawn then removes its
 * mounts, network interfaces, port forwards and copies itself. If it does not finish in time, it is killed as well.
 *
 * @returns the lock files that systemd-nspawn held
 */
export async function endContainer(
  layout: CgroupLayout,
  machine: string,
  state: RunningState,
): Promise<readonly string[]> {
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
export async function isGone(target: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let delay = FIRST_DELAY_MS; isAlive(target); delay = Math.min(delay * 2, LONGEST_DELAY_MS)) {
    if (performance.now() >= deadline) return false;
    await Bun.sleep(delay);
  }
  return true;
}
