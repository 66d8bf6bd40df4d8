import { FilterCache } from "../exec/seccomp";
import type { ExecContext } from "../exec/session-plan";
import { type Certain, certain } from "../host/certain";
import type { OomState } from "../host/oom-watch";
import { SIGKILL } from "../host/signals";
import type { ContainerNetwork } from "../network/container-network";
import { lostExit } from "../supervisor/lost-exit";
import { settles } from "../supervisor/settles";
import type { Exit, Supervised } from "../supervisor/supervisor";
import { OomMonitor } from "./oom-monitor";
import { stopSignal } from "./stop-signal";

/**
 * A program that is PID 1 of its container has no handler for the stop signal at first, and the kernel drops it (pid_namespaces(7)).
 * The kernel tells nobody when that changes, so it is tried again after so many milliseconds, until it is taken.
 */
const retryMs = 100;

/** What a task is known by. */
export interface TaskIdentity {
  readonly id: string;
  readonly name: string;
  readonly allocId: string;
}

/** The states of a task's life; each lists what may follow. */
const next = {
  running: ["exited"],
  exited: ["destroyed"],
  destroyed: [],
} as const satisfies Record<string, readonly string[]>;

export type TaskLife = keyof typeof next;

/** What a task is made of. */
export interface TaskParts {
  readonly identity: TaskIdentity;
  readonly supervised: Supervised;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly exec: ExecContext;
  /** The signal that stops it where the job names none; absent: the driver's default. */
  readonly stopSignal?: string | undefined;
  /** Absent where the container is in the host's network, or its group's. */
  readonly network?: ContainerNetwork | undefined;
  /** Gives back what was made for the container beside what its supervisor keeps. */
  readonly release: () => Promise<void>;
}

/** One task: a container that was started or found again, until it is destroyed. */
export class Task {
  readonly identity: TaskIdentity;
  readonly supervised: Supervised;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** What commands that are run in the container have in common with the task's own. */
  readonly exec: ExecContext;
  readonly network: ContainerNetwork | undefined;
  readonly filters = new FilterCache();
  /** Settles when the container has ended; never rejects. */
  readonly ended: Certain<Exit>;
  readonly #oom: OomMonitor;
  readonly #release: () => Promise<void>;
  readonly #stopSignal: string;
  #life: TaskLife = "running";
  #exit: Exit | undefined;
  #destroying: Promise<void> | undefined;
  #killed = false;

  constructor({ identity, supervised, startedAt, exec, network, stopSignal, release }: TaskParts) {
    this.#stopSignal = stopSignal ?? "";
    this.identity = identity;
    this.supervised = supervised;
    this.startedAt = startedAt;
    this.exec = exec;
    this.network = network;
    this.#release = release;
    this.#oom = new OomMonitor(supervised);
    this.ended = certain(
      supervised.exit.then((exit) => this.#over(exit)),
      (error) => this.#over(lostExit(error)),
    );
  }

  /** Calls `listener` when the kernel has killed a process of the task for memory; the task may go on. */
  onOutOfMemory(listener: (state: OomState) => void): void {
    this.#oom.listen(listener);
  }

  get life(): TaskLife {
    return this.#life;
  }

  /** How the container ended; undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /**
   * Sends the stop signal, and SIGKILL when the container still runs after `timeoutMs`. Resolves when it has ended; does
   * nothing when it already has. A second call while one is under way keeps its own timeout.
   *
   * @param requested the job's kill_signal, or ""
   * @throws Error for a name that is no signal
   */
  async stop(requested: string, timeoutMs: number): Promise<void> {
    const signal = stopSignal(this.supervised.ref.mode, requested === "" ? this.#stopSignal : requested);
    if (this.#life !== "running") return;
    if (signal === SIGKILL) this.#kills();
    let over = false;
    // Not waited for: a container in the middle of its start takes its signal later, and the SIGKILL below follows in time
    // whether or not it could be sent.
    const send = async () => {
      while (!over && !(await this.supervised.signal(signal))) await settles(this.supervised.exit, retryMs);
    };
    const sendUnwaited = () => void send().catch(() => {});
    // One that reboots just now takes no notice: it is told again.
    const forget = this.supervised.onRestart(sendUnwaited);
    try {
      sendUnwaited();
      await settles(this.supervised.exit, timeoutMs);
    } finally {
      over = true;
      forget();
    }
    this.#kills();
    await this.supervised.kill();
  }

  /** Sends a signal to the payload. */
  async signal(signal: number): Promise<void> {
    if (signal === SIGKILL) this.#kills();
    await this.supervised.signal(signal);
  }

  /**
   * Removes everything of the container, killing it first if need be. Further calls wait for the first; after a failed
   * one it can be tried again.
   */
  destroy(): Promise<void> {
    this.#destroying ??= this.#destroy().catch((error: unknown) => {
      this.#destroying = undefined;
      throw error;
    });
    return this.#destroying;
  }

  async #destroy(): Promise<void> {
    this.network?.close();
    this.#kills();
    await this.supervised.release();
    await this.#release();
    this.#become("exited");
    this.#become("destroyed");
  }

  #over(exit: Exit): Exit {
    let whole = exit;
    try {
      whole = this.#oom.end(exit, this.#killed);
    } catch {
      // Only what the kernel killed for memory is not known then; the end is.
    }
    this.#exit = whole;
    this.#become("exited");
    return whole;
  }

  /** What still runs is ended by the driver from now on. */
  #kills(): void {
    if (this.#life === "running") this.#killed = true;
  }

  #become(life: TaskLife): void {
    const allowed: readonly string[] = next[this.#life];
    if (allowed.includes(life)) this.#life = life;
  }
}
