import { closeSync } from "node:fs";
import { exitStatusOfPidfd, openPidfd } from "../linux/pidfd";
import { isAlive, type ProcessIdentity } from "../linux/proc";
import { heldLocks } from "./leftovers";
import type { PayloadMode } from "./payload";
import { ContainerSearch, waitForProcess } from "./processes";
import type { StartNotice } from "./start-notice";

/** How long a container's start is followed, in milliseconds: changing the owners of a large image takes minutes. */
const WATCH_MS = 3_600_000;
/** Of so many polls before systemd-nspawn has announced its container, one looks at the processes all the same. */
const LOOK_UNANNOUNCED = 8;

/** A container's processes, as far as they were found. */
export interface PayloadWatch {
  readonly leader: ProcessIdentity | undefined;
  /** The lock files that systemd-nspawn holds: with them, the leftovers of a killed one are found. */
  readonly locks: readonly string[];
  /** Whether the payload was observed to have executed its own program. */
  readonly seen: boolean;
  /** The payload's wait status once it is reaped; undefined if it was not observed or the kernel does not report it. */
  status(): number | undefined;
  /** Searches immediately, for a payload that is about to get a signal. */
  inspect(): void;
  close(): void;
}

/** Reports of a payload watch, each made at most once. */
interface PayloadListener {
  /** Leader and locks are known. */
  found(watch: PayloadWatch): void;
  /** The payload has executed its own program. */
  started(): void;
}

/**
 * Searches for the container's processes while it starts and keeps a pidfd of the payload, from which its wait status is read later.
 *
 * @param notice announces the container; without one every poll looks at the processes
 */
export function watchPayload(
  mainPid: number,
  mode: PayloadMode,
  listener: PayloadListener,
  notice?: StartNotice,
): PayloadWatch {
  const search = new ContainerSearch(mainPid, mode);
  let leader: ProcessIdentity | undefined;
  let locks: readonly string[] = [];
  let pidfd: number | undefined;
  let seen = false;
  let closed = false;

  const hold = (payload: ProcessIdentity): number | undefined => {
    const fd = openPidfd(payload.pid);
    if (fd !== undefined && !isAlive(payload)) {
      closeSync(fd);
      return undefined;
    }
    return fd;
  };
  const inspect = (): true | undefined => {
    if (closed) return true;
    const payload = search.payload();
    if (payload !== undefined) pidfd ??= hold(payload);
    const started = search.started() !== undefined;
    if (leader === undefined) {
      leader = search.leader();
      if (leader !== undefined) locks = heldLocks(mainPid);
      if (leader !== undefined) listener.found(watch);
    }
    if (started && !seen) {
      seen = true;
      listener.started();
    }
    return seen ? true : undefined;
  };
  const watch: PayloadWatch = {
    get leader() {
      return leader;
    },
    get locks() {
      return locks;
    },
    get seen() {
      return seen;
    },
    status: () => (pidfd === undefined ? undefined : exitStatusOfPidfd(pidfd)),
    inspect,
    close: () => {
      closed = true;
      if (pidfd !== undefined) closeSync(pidfd);
      pidfd = undefined;
    },
  };
  let polls = 0;
  const poll = (): true | undefined => {
    polls += 1;
    const worth = notice === undefined || closed || notice.arrived() || polls % LOOK_UNANNOUNCED === 1;
    return worth ? inspect() : undefined;
  };
  waitForProcess(mainPid, poll, WATCH_MS).catch(() => {
    // The exit is then derived from systemd-nspawn's code and last line, which is less exact.
  });
  return watch;
}
