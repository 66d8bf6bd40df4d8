import { closeSync, constants, openSync, readFileSync, readlinkSync } from "node:fs";
import { isMissing } from "../lib/errors";
import { CLONE_NEW, O_PATH } from "../linux/constants";
import { openPidfd } from "../linux/pidfd";
import { identify, isAlive, type ProcessIdentity, type ProcessRights, parseRights } from "../linux/proc";
import { foreignProfile } from "../linux/security-modules";
import { ContainerSearch, findLeader, waitForProcess } from "../nspawn/processes";
import type { Container } from "../supervisor/supervisor";

/** A running container, referred to by its first process: a reused PID cannot make it another container. */
export interface OpenContainer extends Disposable {
  readonly leader: ProcessIdentity;
  readonly pidfd: number;
  /** Its root directory; use it only through readInside(). */
  readonly root: number;
  /** CLONE_NEW* flags of the namespaces it does not share with the driver. */
  readonly namespaces: number;
  readonly rights: ProcessRights;
  /** Contents of files in /proc/PID of the leader. */
  readonly cgroups: string;
  readonly uidMap: string;
  readonly gidMap: string;
  readonly oomScoreAdjust: string;
  /** Its AppArmor profile, if that is not the driver's own. */
  readonly apparmor: string | undefined;
}

/** What identifies a container. */
export type ContainerHandle = Pick<Container, "mainPid" | "ref">;

/** Thrown if the container has ended, or is ending. */
export class ContainerGoneError extends Error {
  override readonly name = "ContainerGoneError";

  constructor(message = "Cannot run a command in the task: it is no longer running.") {
    super(message);
  }
}

/** Thrown if systemd-nspawn runs, but has not started the container's first process yet. */
export class ContainerStartingError extends Error {
  override readonly name = "ContainerStartingError";

  constructor() {
    super(
      "Cannot run a command in the task yet: the container is still starting, because systemd-nspawn prepares its root. Try again later.",
    );
  }
}

/** Opens a container. Waits if it is still starting, at most `waitMs` milliseconds. @throws ContainerGoneError, ContainerStartingError */
export async function openContainer(supervised: ContainerHandle, waitMs?: number): Promise<OpenContainer> {
  const mainPid = supervised.mainPid();
  const gone = () => new ContainerGoneError();
  if (mainPid === undefined) throw gone();
  const main = identify(mainPid);
  const search = new ContainerSearch(mainPid, supervised.ref.mode);
  const payload = await waitForProcess(mainPid, () => search.started(), waitMs);
  const leader = findLeader(mainPid);
  const running = main !== undefined && isAlive(main);
  if (leader === undefined) throw running ? new ContainerStartingError() : gone();
  // Before it executes the program, the leader has rights that the task must not have.
  const preparing = search.isCopy(leader.pid) || search.isWrapper(leader.pid);
  if (payload === undefined && running && preparing) throw new ContainerStartingError();
  using held = new DisposableStack();
  try {
    const pidfd = openPidfd(leader.pid);
    if (pidfd === undefined) throw gone();
    held.adopt(pidfd, closeSync);
    const of = (file: string) => readFileSync(`/proc/${leader.pid}/${file}`, "utf8");
    const root = held.adopt(openSync(`/proc/${leader.pid}/root`, O_PATH | constants.O_DIRECTORY), closeSync);
    const container = {
      leader,
      pidfd,
      root,
      namespaces: foreignNamespaces(leader.pid),
      rights: parseRights(of("status")),
      cgroups: of("cgroup"),
      uidMap: of("uid_map"),
      gidMap: of("gid_map"),
      oomScoreAdjust: of("oom_score_adj").trim(),
      apparmor: foreignProfile(leader.pid),
    };
    // Everything above was read by PID: it is the leader's only if the leader is still alive.
    if (!isAlive(leader)) throw gone();
    const kept = held.move();
    return { ...container, [Symbol.dispose]: () => kept.dispose() };
  } catch (error) {
    throw isMissing(error) ? gone() : error;
  }
}

/** CLONE_NEW* flags of the namespaces that a process does not share with this one. @throws Error if it is gone */
export function foreignNamespaces(pid: number): number {
  let flags = 0;
  for (const [name, flag] of Object.entries(CLONE_NEW)) {
    if (readlinkSync(`/proc/${pid}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`)) flags |= flag;
  }
  return flags;
}
