import type { Task } from "./task";

/** What the agent compares, as text, to know a task it asks for is unknown (nomad's plugins/drivers/errors.go). */
export const taskNotFound = "task not found for given id";

/** Thrown for a task id that this plugin process does not know. */
export class TaskNotFoundError extends Error {
  override readonly name = "TaskNotFoundError";

  constructor() {
    super(taskNotFound);
  }
}

/** The tasks this plugin process knows, and those it is just starting or recovering. */
export class TaskStore {
  readonly #tasks = new Map<string, Task>();
  readonly #arriving = new Map<string, string>();

  /** @throws TaskNotFoundError */
  get(id: string): Task {
    const task = this.#tasks.get(id);
    if (task === undefined) throw new TaskNotFoundError();
    return task;
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  delete(id: string): void {
    this.#tasks.delete(id);
  }

  /** Whether a machine is a task's that is here or is just arriving. */
  knowsMachine(machine: string): boolean {
    const here = [...this.#tasks.values()].map(({ supervised }) => supervised.ref.machine);
    return here.includes(machine) || [...this.#arriving.values()].includes(machine);
  }

  /**
   * Adds the task that `make` brings; meanwhile nobody else can make one of the same id.
   *
   * @param machine the machine it will have
   *
   * @throws Error when there is, or is about to be, a task of that id; and whatever `make` throws
   */
  async add(id: string, machine: string, make: () => Promise<Task>): Promise<Task> {
    if (this.#tasks.has(id) || this.#arriving.has(id)) throw new Error(`Task "${id}" was already started.`);
    this.#arriving.set(id, machine);
    try {
      const task = await make();
      this.#tasks.set(id, task);
      return task;
    } finally {
      this.#arriving.delete(id);
    }
  }
}
