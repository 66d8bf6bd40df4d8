import type { CgroupLayout } from "../../host/cgroup-layout";
import { killCgroup } from "../../host/cgroup-task";
import { isAlive, type ProcessIdentity, signalProcess } from "../../host/process-info";
import { SIGKILL } from "../../host/signals";
import { findLeader, waitForProcess } from "../payload";
import { heldLocks } from "../remains";
import type { RunningState } from "./state-files";

const LEADER_MS = 1_000;
/** systemd-nspawn removes an --ephemeral copy of any size itself when it is given the time. */
const CLEANUP_MS = 10_000;
const FIRST_DELAY_MS = 1;
const LONGEST_DELAY_MS = 50;

/**
 * SIGKILLs a container. Its PID 1 goes first, and everything in its PID namespace with it: systemd-nspawn then removes its
 * mounts, network interfaces, port forwards and copies itself. Only one that does not get done with that is killed as well.
 *
 * @returns the lock files systemd-nspawn held
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

/** Waits for the end of a process that is nobody's child here, `timeoutMs` at most; false when it still runs. */
export async function isGone(target: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let delay = FIRST_DELAY_MS; isAlive(target); delay = Math.min(delay * 2, LONGEST_DELAY_MS)) {
    if (performance.now() >= deadline) return false;
    await Bun.sleep(delay);
  }
  return true;
}
