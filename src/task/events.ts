import { AsyncQueue } from "../lib/async-queue";

/** A task event, which `nomad alloc status` shows. */
export interface TaskEvent {
  readonly taskId: string;
  readonly allocId: string;
  readonly taskName: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly message: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Maximum number of events kept for an agent that has not subscribed yet or reads slowly; the oldest are dropped first. */
const MAX_PENDING = 1000;

/** Delivers the driver's events to every subscribed stream; queues them while no stream is subscribed. */
export class TaskEvents {
  readonly #listeners = new Set<(event: TaskEvent) => void>();
  #pending: TaskEvent[] = [];

  emit(event: TaskEvent): void {
    if (this.#listeners.size === 0) {
      this.#pending.push(event);
      if (this.#pending.length > MAX_PENDING) this.#pending.shift();
      return;
    }
    for (const listener of this.#listeners) listener(event);
  }

  /** The queued events that were not delivered yet, and all further ones until `signal` aborts. */
  async *listen(signal: AbortSignal): AsyncGenerator<TaskEvent> {
    const queue = new AsyncQueue<TaskEvent>(MAX_PENDING, this.#pending);
    this.#pending = [];
    const listener = (event: TaskEvent) => queue.push(event);
    this.#listeners.add(listener);
    const stop = queue.endWith(signal);
    try {
      yield* queue;
    } finally {
      this.#listeners.delete(listener);
      stop();
    }
  }
}
