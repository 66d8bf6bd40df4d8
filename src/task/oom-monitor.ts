import { type ContainerCgroups, findContainerCgroups } from "../host/container-cgroups";
import { type OomState, readOomState, watchOom } from "../host/oom-watch";
import { looksKilled } from "../supervisor/looks-killed";
import type { Exit, PayloadMode, Supervised } from "../supervisor/supervisor";

/** Notices when the kernel kills a task's processes for memory, while it runs and at its end. */
export class OomMonitor {
  readonly #cgroups: ContainerCgroups;
  readonly #stop: () => void;
  readonly #before: number;
  readonly #listeners = new Set<(state: OomState) => void>();
  readonly #mode: PayloadMode;
  #told: OomState | undefined;

  constructor(supervised: Supervised) {
    this.#mode = supervised.ref.mode;
    const pid = supervised.mainPid();
    this.#cgroups = pid === undefined ? { legacy: new Map() } : findContainerCgroups(pid, supervised.ref.machine);
    this.#before = readOomState(this.#cgroups)?.kills ?? 0;
    this.#stop = watchOom(this.#cgroups, (state) => this.#tell(state));
  }

  listen(listener: (state: OomState) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * The exit with what is known of memory; stops watching.
   *
   * @param killed whether the driver killed the container: then the kernel did not, whatever it did to a process of it before
   */
  end(exit: Exit, killed = false): Exit {
    this.#stop();
    // The last kill may not have been told yet, and cgroup v1 tells none.
    const last = readOomState(this.#cgroups);
    if (last !== undefined && last.kills > (this.#told?.kills ?? this.#before)) this.#tell(last);
    else if (exit.oomKilled && this.#told === undefined) this.#tell(last ?? { kills: 1 });
    const kills = this.#told?.kills ?? this.#before;
    return { ...exit, oomKilled: exit.oomKilled || (kills > 0 && !killed && looksKilled(exit, this.#mode)) };
  }

  #tell(state: OomState): void {
    this.#told = state;
    for (const listener of this.#listeners) listener(state);
  }
}

/** What happened, for the task's users. */
export function oomSentence({ limit, peak }: OomState): string {
  const facts = [
    ...(limit === undefined ? [] : [`the limit is ${mebibytes(limit)}`]),
    ...(peak === undefined ? [] : [`the highest use was ${mebibytes(peak)}`]),
  ];
  const more = facts.length === 0 ? "" : `: ${facts.join(", ")}`;
  return `Out of memory: the kernel killed a process of the task${more}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1).replace(/\.0$/, "")} MiB`;
}
