import { type ContainerCgroups, findContainerCgroups } from "../linux/cgroup/membership";
import { type OomState, readOomState, watchOom } from "../linux/cgroup/oom";
import { mayBeOomKill } from "../nspawn/exit";
import type { Exit, PayloadMode } from "../nspawn/payload";
import type { Container } from "../supervisor/supervisor";

/** Gets the state after further OOM kills, and their number. */
export type OomListener = (state: OomState, more: number) => void;

/** Detects OOM kills of a task's processes, while the task is running and when it exits. */
export class OomMonitor {
  readonly #cgroups: ContainerCgroups;
  readonly #stop: () => void;
  readonly #before: number;
  readonly #listeners = new Set<OomListener>();
  readonly #mode: PayloadMode;
  #reported: OomState | undefined;

  constructor(container: Container) {
    this.#mode = container.ref.mode;
    const pid = container.mainPid();
    this.#cgroups = pid === undefined ? { legacy: new Map() } : findContainerCgroups(pid, container.ref.machine);
    this.#before = readOomState(this.#cgroups)?.kills ?? 0;
    this.#stop = watchOom(this.#cgroups, (state) => this.#report(state));
  }

  listen(listener: OomListener): void {
    this.#listeners.add(listener);
  }

  /**
   * Stops watching and returns the exit status with its OOM flag.
   *
   * @param killed whether the driver killed the container: then its exit is not an OOM kill, even if the kernel killed one of its
   *   processes before
   */
  end(exit: Exit, killed = false): Exit {
    this.#stop();
    // The last kill may not have been reported yet, and cgroup v1 reports none.
    const last = readOomState(this.#cgroups);
    if (last !== undefined && last.kills > (this.#reported?.kills ?? this.#before)) this.#report(last);
    else if (exit.oomKilled && this.#reported === undefined) this.#report(last ?? { kills: 1 });
    const kills = this.#reported?.kills ?? this.#before;
    return { ...exit, oomKilled: exit.oomKilled || (kills > 0 && !killed && mayBeOomKill(exit, this.#mode)) };
  }

  #report(state: OomState): void {
    const more = Math.max(0, state.kills - (this.#reported?.kills ?? this.#before));
    this.#reported = state;
    for (const listener of this.#listeners) listener(state, more);
  }
}

/** The message of the task event for an OOM kill. */
export function oomSentence({ limit, peak }: OomState): string {
  const facts = [
    ...(limit === undefined ? [] : [`the limit is ${mebibytes(limit)}`]),
    ...(peak === undefined ? [] : [`the peak usage was ${mebibytes(peak)}`]),
  ];
  const more = facts.length === 0 ? "" : `: ${facts.join(", ")}`;
  return `Out of memory: the kernel killed a process of the task${more}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1).replace(/\.0$/, "")} MiB`;
}
