import type { PluginOptions } from "../config/plugin/options";
import type { Launcher } from "../launch/launcher";
import { startTimer } from "../lib/deadline";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import type { TaskRegistry } from "./task-registry";

/** The dependencies of the reconciler. */
interface ReconcilerContext {
  readonly log: Logger;
  readonly tasks: TaskRegistry;
  /** The current plugin config. */
  readonly options: () => Pick<PluginOptions, "gc">;
  readonly launcher: Pick<Launcher, "discard">;
  /** The registered machines of a client; see machinesOfClient(). */
  readonly machinesOf: (client: string) => Promise<readonly string[]>;
  /** Whether another plugin process that runs has a machine. */
  readonly isClaimedByOther: (machine: string) => boolean;
  /** Called once, when the agent uses this process: for garbage that an earlier process left, such as images. */
  readonly onStart: () => void;
  /** Called for each dangling machine before it is removed; it must not reject. */
  readonly onFound: (machine: string) => Promise<void>;
  /** Called for each dangling machine that was removed. */
  readonly onRemoved: () => void;
}

/**
 * Removes the dangling machines of this client, and the tasks that could not be destroyed. A machine is *dangling* if no task has it: its
 * plugin process was killed during the start, the agent forgot its task, or its removal failed. Machines of other agents, those of another
 * plugin process that still runs, and everything that the driver did not make, are never touched. The reconciler runs once the agent has had
 * time to recover its tasks, counted from the last one that it recovered, and again as long as a removal fails (compare Nomad's reconcile_dangling.go for containers of Docker).
 */
export class DanglingReconciler {
  /** Removals in progress, by machine; they never reject. */
  readonly #removals = new Map<string, Promise<boolean>>();
  #client: string | undefined;
  #scheduled = false;
  /** When the agent last recovered a task: performance.now(). */
  #recoveredAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly context: ReconcilerContext) {}

  /** Called with each task: the first one shows that the agent uses this process, and identifies the agent. */
  start(client: string): void {
    if (this.#client !== undefined) return;
    this.#client = client;
    this.context.onStart();
    this.schedule();
  }

  /** Called when the agent recovers a task: it may be about to recover others, so that the delay begins again. */
  recovered(): void {
    this.#recoveredAt = performance.now();
  }

  /** Runs again after gc.container_delay, unless that is scheduled already. */
  schedule(): void {
    const { container, container_delay } = this.context.options().gc;
    if (!container || this.#client === undefined || this.#scheduled) return;
    this.#scheduled = true;
    this.#runIn(container_delay);
  }

  #runIn(delay: number): void {
    startTimer(delay, () => {
      const rest = this.#recoveredAt + this.context.options().gc.container_delay - performance.now();
      if (rest > 0) {
        this.#runIn(Math.ceil(rest));
        return;
      }
      this.#scheduled = false;
      this.#reconcile().catch((error: unknown) => {
        this.context.log.warn("cannot list dangling containers", { error: errorText(error) });
      });
    });
  }

  /** Resolves when no removal of that machine is in progress; a container that is created after that is not removed. */
  async settled(machine: string): Promise<void> {
    await this.#removals.get(machine);
  }

  async #reconcile(): Promise<void> {
    const { tasks, launcher, log, machinesOf } = this.context;
    let complete = true;
    for (const machine of await machinesOf(this.#client ?? "")) {
      if (tasks.hasMachine(machine)) continue;
      if (this.context.isClaimedByOther(machine)) {
        complete = false;
        continue;
      }
      // From the question on, a task that is recovered or started waits for the removal.
      const removed = await this.#remove(machine, async () => {
        await this.context.onFound(machine);
        log.warn("removing dangling container", { machine });
        await launcher.discard(machine);
      });
      if (removed) this.context.onRemoved();
      complete = removed && complete;
    }
    for (const task of tasks.undestroyed()) {
      const { machine } = task.container.ref;
      complete = (await this.#remove(machine, () => tasks.destroy(task.identity.id, { force: true }))) && complete;
    }
    if (!complete) this.schedule();
  }

  async #remove(machine: string, work: () => Promise<void>): Promise<boolean> {
    const removal = work().then(
      () => true,
      (error: unknown) => {
        const fields = { machine, error: errorText(error) };
        this.context.log.warn("cannot remove dangling container; trying again later", fields);
        return false;
      },
    );
    this.#removals.set(machine, removal);
    const removed = await removal;
    this.#removals.delete(machine);
    return removed;
  }
}
