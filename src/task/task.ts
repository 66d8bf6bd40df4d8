/**
 * A task that runs. A *task* is Nomad's view of one container, from its start or recovery until Nomad destroys it; its states are
 * running, exited and destroyed. The *registry* (task-registry.ts) has the tasks of this plugin process. A *handle* (task-handle.ts) is
 * what Nomad stores of a task, and what a later plugin process recovers it from; its format must stay readable for later versions.
 *
 * stats.ts measures usage, oom-monitor.ts reports OOM kills, storage-monitor.ts kills a task whose changes exceed their limit, and events.ts delivers task events to the agent. The *dangling reconciler* removes containers of this client that belong to no task.
 */

import { FilterCache } from "../exec/seccomp";
import { openSession, type Session } from "../exec/session";
import type { LaunchedContainer } from "../launch/launched-container";
import { settles } from "../lib/deadline";
import { type Certain, certain } from "../lib/promises";
import type { TaskNetwork } from "../network/network";
import { lostExit } from "../nspawn/exit";
import type { Exit } from "../nspawn/payload";
import { stopSignal } from "../nspawn/stop-signal";
import type { Container } from "../supervisor/supervisor";
import { SIGKILL } from "../values/signals";
import { JournalFollower } from "./journal-follower";
import { type OomListener, OomMonitor } from "./oom-monitor";
import { StorageMonitor, storageSentence } from "./storage-monitor";

/**
 * Until a program that is PID 1 of its container has installed a handler for the stop signal, the kernel drops the signal
 * (pid_namespaces(7)). The kernel does not report when that changes, so the signal is sent again after this many milliseconds until it is
 * delivered.
 */
const RETRY_MS = 100;

/** The identity of a task. */
export interface TaskIdentity {
  readonly id: string;
  readonly name: string;
  readonly allocId: string;
}

/** The states of a task, each with the states that may follow. */
const transitions = {
  running: ["exited"],
  exited: ["destroyed"],
  destroyed: [],
} as const satisfies Record<string, readonly string[]>;

type TaskLife = keyof typeof transitions;

/** One task: a container that was started or recovered, until it is destroyed. */
export class Task {
  readonly container: Container;
  /** Undefined if the container uses the host's network, or its group's. */
  readonly network: TaskNetwork | undefined;
  /** Resolves when the container has exited; never rejects. */
  readonly ended: Certain<Exit>;
  readonly #filters = new FilterCache();
  readonly #oom: OomMonitor;
  readonly #storage: StorageMonitor | undefined;
  readonly #journal: JournalFollower | undefined;
  #overLimit: string | undefined;
  #life: TaskLife = "running";
  #exit: Exit | undefined;
  #destroying: Promise<void> | undefined;
  #destroyFailed = false;
  #killed = false;

  /** @param startedAt milliseconds since the epoch */
  constructor(
    readonly identity: TaskIdentity,
    private readonly launched: LaunchedContainer,
    readonly startedAt: number,
  ) {
    const { container, network } = launched;
    this.container = container;
    this.network = network;
    this.#oom = new OomMonitor(container);
    const { changes, journal } = launched;
    this.#journal = journal && new JournalFollower(container, journal);
    this.#storage = changes && new StorageMonitor(changes, (bytes) => this.#killForStorage(bytes, changes.limit));
    this.ended = certain(
      this.#exitOf(container).then((exit) => this.#recordExit(exit)),
      (error) => this.#recordExit(lostExit(error)),
    );
  }

  /** Runs a command in the container. @throws ContainerGoneError, EnterError */
  exec(command: readonly string[], terminal: boolean): Promise<Session> {
    return openSession(this.container, this.launched.exec, { command, terminal, filters: this.#filters });
  }

  /** Calls `listener` when the kernel has OOM-killed processes of the task; the task may keep running. */
  onOutOfMemory(listener: OomListener): void {
    this.#oom.listen(listener);
  }

  get life(): TaskLife {
    return this.#life;
  }

  /** Why the driver killed the task: its changes exceed storage_limit; undefined if it did not. */
  get overLimit(): string | undefined {
    return this.#overLimit;
  }

  /** The container's exit status; undefined while it is running. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /**
   * Sends the stop signal, and SIGKILL if the container is still running after `timeoutMs`. Resolves when it has exited; does
   * nothing if it already has. A second call while one is in progress has its own timeout.
   *
   * @param requested the job's kill_signal, or ""
   * @throws Error for an unknown signal
   */
  async stop(requested: string, timeoutMs: number): Promise<void> {
    const signal = stopSignal(this.container.ref.mode, requested === "" ? (this.launched.stopSignal ?? "") : requested);
    if (this.#life !== "running") return;
    if (signal === SIGKILL) this.#markKilled();
    let exited = false;
    // Not awaited: a container that is still starting gets its signal later, and the SIGKILL below follows on time
    // whether or not the signal could be sent.
    const send = async () => {
      while (!exited && !(await this.container.signal(signal))) await settles(this.container.exit, RETRY_MS);
    };
    const sendUnwaited = () => void send().catch(() => {});
    // A container that is rebooting misses the signal: it is sent again after the reboot.
    const unsubscribe = this.container.onRestart(sendUnwaited);
    try {
      sendUnwaited();
      await settles(this.container.exit, timeoutMs);
    } finally {
      exited = true;
      unsubscribe();
    }
    this.#markKilled();
    await this.container.kill();
  }

  /** Sends a signal to the payload. */
  async signal(signal: number): Promise<void> {
    if (signal === SIGKILL) this.#markKilled();
    await this.container.signal(signal);
  }

  /** Whether the last destroy() failed, so that the task may still have a container or files. */
  get destroyFailed(): boolean {
    return this.#destroyFailed;
  }

  /**
   * Removes everything of the container, with `force` also of a running one, which is killed. Further calls wait for the first; after a
   * failed one it can be tried again.
   *
   * @throws Error for a running task without force, and what could not be removed
   */
  async destroy({ force }: { readonly force: boolean }): Promise<void> {
    if (this.#life === "running" && !force) throw new Error("cannot destroy running task");
    this.#destroying ??= this.#destroy();
    try {
      await this.#destroying;
      this.#destroyFailed = false;
    } catch (error) {
      this.#destroying = undefined;
      this.#destroyFailed = true;
      throw error;
    }
  }

  async #destroy(): Promise<void> {
    this.network?.close();
    await this.#journal?.close();
    this.#markKilled();
    await using _lock = await this.launched.lock();
    await this.container.release();
    await this.launched.release();
    this.#transition("exited");
    this.#transition("destroyed");
  }

  /** The exit, once the log has the last entries of the system's journal. */
  async #exitOf({ exit }: Container): Promise<Exit> {
    const known = await exit;
    await this.#journal?.finish();
    return known;
  }

  #recordExit(exit: Exit): Exit {
    this.#storage?.close();
    let result = exit;
    try {
      result = this.#oom.end(exit, this.#killed);
    } catch {
      // Only the OOM state is unknown then; the exit status is known.
    }
    if (this.#overLimit !== undefined) result = { ...result, message: this.#overLimit };
    this.#exit = result;
    this.#transition("exited");
    return result;
  }

  async #killForStorage(bytes: number, limit: number): Promise<void> {
    if (this.#life !== "running") return;
    this.#overLimit = storageSentence(bytes, limit);
    this.#markKilled();
    await this.container.kill();
  }

  /** Records that the driver kills the container from now on, if it is still running. */
  #markKilled(): void {
    if (this.#life === "running") this.#killed = true;
  }

  #transition(life: TaskLife): void {
    const allowed: readonly string[] = transitions[this.#life];
    if (allowed.includes(life)) this.#life = life;
  }
}
