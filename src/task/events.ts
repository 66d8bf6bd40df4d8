/** Something a user shall read in `nomad alloc status`. */
export interface TaskEvent {
  readonly taskId: string;
  readonly allocId: string;
  readonly taskName: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly message: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Events kept for an agent that has not asked yet, or does not read on; the oldest go first. */
const maxPending = 1000;

/** Hands the driver's events to every stream that listens; keeps them while none does. */
export class TaskEvents {
  readonly #listeners = new Set<(event: TaskEvent) => void>();
  #pending: TaskEvent[] = [];

  emit(event: TaskEvent): void {
    if (this.#listeners.size === 0) {
      this.#pending.push(event);
      if (this.#pending.length > maxPending) this.#pending.shift();
      return;
    }
    for (const listener of this.#listeners) listener(event);
  }

  /** The events from now on, with those that nobody has heard yet, until `signal` aborts. */
  async *listen(signal: AbortSignal): AsyncGenerator<TaskEvent> {
    const queue: TaskEvent[] = this.#pending;
    this.#pending = [];
    let wake = () => {};
    const listener = (event: TaskEvent) => {
      queue.push(event);
      if (queue.length > maxPending) queue.shift();
      wake();
    };
    const aborted = () => wake();
    this.#listeners.add(listener);
    signal.addEventListener("abort", aborted);
    try {
      while (!signal.aborted) {
        const event = queue.shift();
        if (event !== undefined) yield event;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener("abort", aborted);
    }
  }
}
