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

/** The tasks of this plugin process, including those that it is starting or recovering. */
export class TaskRegistry {
  readonly #tasks = new Map<string, Task>();
  readonly #starting = new Map<string, string>();

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

  /** Tasks that could not be destroyed. */
  undestroyed(): readonly Task[] {
    return [...this.#tasks.values()].filter(({ destroyFailed }) => destroyFailed);
  }

  /** Whether a machine belongs to a task that exists or is being started or recovered. */
  hasMachine(machine: string): boolean {
    const here = [...this.#tasks.values()].map(({ container }) => container.ref.machine);
    return here.includes(machine) || [...this.#starting.values()].includes(machine);
  }

  /**
   * Adds the task that `make` creates; while it runs, no other task with the same ID can be added.
   *
   * @param machine the machine it will have
   *
   * @throws Error if a task with that ID exists or is being added; and the errors of `make`
   */
  async add(id: string, machine: string, make: () => Promise<Task>): Promise<Task> {
    if (this.#tasks.has(id) || this.#starting.has(id)) throw new Error(`Task "${id}" was already started.`);
    this.#starting.set(id, machine);
    try {
      const task = await make();
      this.#tasks.set(id, task);
      return task;
    } finally {
      this.#starting.delete(id);
    }
  }
}
