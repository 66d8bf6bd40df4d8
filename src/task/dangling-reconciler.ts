import { discardContainer } from "../launch/discard-container";
import { startTimer } from "../lib/deadline";
import { errorText } from "../lib/errors";
import { machinesOfClient } from "../machine/files";
import type { Driver } from "../runtime/driver";

/** The parts of the driver that the sweep needs. */
type Deps = Pick<Driver, "log" | "tasks" | "config" | "supervisorNamed" | "images">;

/**
 * Removes dangling containers: containers of this agent that belong to no task, because an earlier plugin process was killed
 * during a start, or because the agent lost the task. It runs once, after the agent had time to recover its tasks. Containers
 * of other agents and other programs are never touched.
 */
export class DanglingReconciler {
  readonly #deps: Deps;
  /** Removals in progress, by machine; they never reject. */
  readonly #removals = new Map<string, Promise<void>>();
  #started = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Called for each task: the first call shows that the agent uses this process, and which agent it is. */
  start(owner: string): void {
    if (this.#started) return;
    this.#started = true;
    // An earlier process may have exited before it removed its unused images.
    this.#deps.images.unused();
    const { container, container_delay } = this.#deps.config.options.gc;
    if (!container) return;
    startTimer(container_delay, () => {
      this.#sweep(owner).catch((error: unknown) => {
        this.#deps.log.warn("cannot list dangling containers", { error: errorText(error) });
      });
    });
  }

  /** Resolves when no removal of that machine is in progress; a container that is created after that is not removed. */
  async settled(machine: string): Promise<void> {
    await this.#removals.get(machine);
  }

  async #sweep(owner: string): Promise<void> {
    const { tasks, log } = this.#deps;
    for (const machine of await machinesOfClient(owner)) {
      if (tasks.hasMachine(machine)) continue;
      log.warn("removing dangling container", { machine });
      const removal = this.#remove(machine);
      this.#removals.set(machine, removal);
      await removal;
      this.#removals.delete(machine);
    }
  }

  async #remove(machine: string): Promise<void> {
    try {
      await discardContainer(this.#deps, machine);
    } catch (error) {
      this.#deps.log.warn("cannot remove dangling container", {
        machine,
        error: errorText(error),
      });
    }
  }
}
