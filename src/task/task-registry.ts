import { RecoverableError } from "../lib/errors";
import type { Task } from "./task";

/** The agent compares this text to detect that a task is unknown (nomad's plugins/drivers/errors.go). */
const TASK_NOT_FOUND = "task not found for given id";

/** Thrown for a task ID that this plugin process does not have. */
export class TaskNotFoundError extends Error {
  override readonly name = "TaskNotFoundError";

  constructor() {
    super(TASK_NOT_FOUND);
  }
}

/** The reason with which a start ends that was cancelled by a stop or removal of its task. */
export class StartCancelledError extends RecoverableError {
  override readonly name = "StartCancelledError";

  constructor() {
    super("The start was cancelled: the agent stopped the task meanwhile.", { recoverable: false });
  }
}

/** A task that is being started or recovered. */
interface StartingTask {
  readonly machine: string;
  readonly cancel: AbortController;
  /** Settles when the start has ended, whether or not there is a task then; never rejects. */
  readonly ended: Promise<void>;
}

/** The tasks of this plugin process, including those that it is starting or recovering. */
export class TaskRegistry {
  readonly #tasks = new Map<string, Task>();
  readonly #starting = new Map<string, StartingTask>();

  /** @throws TaskNotFoundError */
  get(id: string): Task {
    const task = this.#tasks.get(id);
    if (task === undefined) throw new TaskNotFoundError();
    return task;
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  /**
   * Destroys a task and removes it from the registry; see Task.destroy(). A task that could not be destroyed stays in it.
   *
   * @throws TaskNotFoundError
   */
  async destroy(id: string, options: { readonly force: boolean }): Promise<void> {
    await this.get(id).destroy(options);
    this.#tasks.delete(id);
  }

  /** How many tasks have each state. */
  counts(): Readonly<Record<"starting" | "running" | "exited", number>> {
    const exited = [...this.#tasks.values()].filter(({ exit }) => exit !== undefined).length;
    return { starting: this.#starting.size, running: this.#tasks.size - exited, exited };
  }

  /** Tasks that could not be destroyed. */
  undestroyed(): readonly Task[] {
    return [...this.#tasks.values()].filter(({ destroyFailed }) => destroyFailed);
  }

  /** Whether a machine belongs to a task that exists or is being started or recovered. */
  hasMachine(machine: string): boolean {
    const here = [...this.#tasks.values()].map(({ container }) => container.ref.machine);
    return here.includes(machine) || [...this.#starting.values()].some((starting) => starting.machine === machine);
  }

  /**
   * Cancels the start of a task if it has not ended, and waits for its end. Agents up to 2.0 do not ask for that: they stop a task only
   * when its start has returned (see docs/reliability.md).
   */
  async cancelStart(id: string): Promise<void> {
    const starting = this.#starting.get(id);
    starting?.cancel.abort(new StartCancelledError());
    await starting?.ended;
  }

  /**
   * Adds the task that `make` creates; while it runs, no other task with the same ID can be added.
   *
   * @param machine the machine it will have
   * @param make gets a signal that aborts if the task is stopped meanwhile
   *
   * @throws Error if a task with that ID exists or is being added; and the errors of `make`
   */
  async add(id: string, machine: string, make: (cancelled: AbortSignal) => Promise<Task>): Promise<Task> {
    if (this.#tasks.has(id) || this.#starting.has(id)) throw new Error(`Task "${id}" was already started.`);
    const cancel = new AbortController();
    const ended = Promise.withResolvers<void>();
    this.#starting.set(id, { machine, cancel, ended: ended.promise });
    try {
      const task = await make(cancel.signal);
      this.#tasks.set(id, task);
      return task;
    } catch (error) {
      // Whatever the cancelled work failed with.
      throw cancel.signal.aborted ? cancel.signal.reason : error;
    } finally {
      this.#starting.delete(id);
      ended.resolve();
    }
  }
}
