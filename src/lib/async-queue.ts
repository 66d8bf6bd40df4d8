/** A wake-up of one waiting loop. What is reported while it does not wait is not lost: the next wait ends at once. */
class Wakeup {
  #pending = false;
  #wake: (() => void) | undefined;

  notify(): void {
    this.#pending = true;
    this.#wake?.();
  }

  /** Waits for the next report; false if none arrives within `timeoutMs`. */
  async wait(timeoutMs?: number): Promise<boolean> {
    if (!this.#pending) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (timeoutMs !== undefined) timer = setTimeout(resolve, timeoutMs);
      });
      clearTimeout(timer);
      this.#wake = undefined;
    }
    const notified = this.#pending;
    this.#pending = false;
    return notified;
  }
}

/**
 * Items on their way to one consumer, which takes them with `for await`, or with shift() and changed(). Of more items than the
 * capacity, the oldest are dropped; with a capacity of 1 the consumer gets the latest one.
 */
export class AsyncQueue<Item extends NonNullable<unknown>> implements AsyncIterable<Item> {
  readonly #items: Item[] = [];
  readonly #wakeup = new Wakeup();
  #ended = false;

  constructor(
    private readonly capacity = Infinity,
    items: readonly Item[] = [],
  ) {
    for (const item of items) this.push(item);
  }

  /** Adds an item; does nothing after the end. */
  push(item: Item): void {
    if (this.#ended) return;
    this.#items.push(item);
    if (this.#items.length > this.capacity) this.#items.shift();
    this.#wakeup.notify();
  }

  /** No further items follow; those that are left are still delivered. */
  end(): void {
    this.#ended = true;
    this.#wakeup.notify();
  }

  /** Ends the queue when the signal aborts, or at once if it has; the items that are left are dropped then. @returns undoes that */
  endWith(signal: AbortSignal): () => void {
    const abort = () => {
      this.#items.length = 0;
      this.end();
    };
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    return () => signal.removeEventListener("abort", abort);
  }

  /** The oldest item; undefined if none has arrived. */
  shift(): Item | undefined {
    return this.#items.shift();
  }

  /** Waits until an item has arrived, or the end; false if that takes longer than `timeoutMs`. */
  changed(timeoutMs?: number): Promise<boolean> {
    return this.#wakeup.wait(timeoutMs);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) yield item;
      if (this.#ended) return;
      await this.#wakeup.wait();
    }
  }
}
