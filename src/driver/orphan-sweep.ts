import { errorText } from "../host/error-text";
import { startTimer } from "../host/long-timer";
import { machinesOf } from "../task/files";
import { discardContainer } from "./discard-container";
import type { Driver } from "./driver";

/** What of the driver the sweep needs. */
type Surroundings = Pick<Driver, "log" | "tasks" | "config" | "supervisorNamed" | "images">;

/**
 * Removes what an earlier plugin process left that was killed in the middle of a start, or whose task the agent forgot: a
 * container of this very agent that belongs to no task. It runs once, when the agent had time to recover its tasks. Nothing
 * of another agent's, or of anybody else's, is ever looked at.
 */
export class OrphanSweep {
  readonly #around: Surroundings;
  /** Removals under way, by machine; they never reject. */
  readonly #removals = new Map<string, Promise<void>>();
  #begun = false;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** Called with each task: the first one tells that the agent uses this process, and who the agent is. */
  begin(owner: string): void {
    if (this.#begun) return;
    this.#begun = true;
    // Of those that an earlier process did not come to remove.
    this.#around.images.unused();
    const { container, container_delay } = this.#around.config.options.gc;
    if (!container) return;
    startTimer(container_delay, () => {
      this.#sweep(owner).catch((error: unknown) => {
        this.#around.log.warn("containers without a task could not be looked for", { error: errorText(error) });
      });
    });
  }

  /** Resolves when a container of that machine is not being removed any more: what is made anew then stays. */
  async removed(machine: string): Promise<void> {
    await this.#removals.get(machine);
  }

  async #sweep(owner: string): Promise<void> {
    const { tasks, log } = this.#around;
    for (const machine of await machinesOf(owner)) {
      if (tasks.knowsMachine(machine)) continue;
      log.warn("removing a container that no task belongs to", { machine });
      const removal = this.#remove(machine);
      this.#removals.set(machine, removal);
      await removal;
      this.#removals.delete(machine);
    }
  }

  async #remove(machine: string): Promise<void> {
    try {
      await discardContainer(this.#around, machine);
    } catch (error) {
      this.#around.log.warn("a container that no task belongs to could not be removed", {
        machine,
        error: errorText(error),
      });
    }
  }
}
