import { longestTimer } from "../host/long-timer";

/** One timer per interval, so that all tasks with that interval are measured in one pass. */
export class UsageClock {
  readonly #beats = new Map<number, { readonly listeners: Set<() => void>; readonly timer: Timer }>();

  /**
   * Calls `listener` every `interval` milliseconds, together with all others of the same interval, until the returned
   * function is called.
   */
  every(interval: number, listener: () => void): () => void {
    let beat = this.#beats.get(interval);
    if (beat === undefined) {
      const listeners = new Set<() => void>();
      const timer = setInterval(
        () => {
          for (const each of listeners) each();
        },
        Math.min(interval, longestTimer),
      );
      timer.unref();
      beat = { listeners, timer };
      this.#beats.set(interval, beat);
    }
    const { listeners, timer } = beat;
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      clearInterval(timer);
      this.#beats.delete(interval);
    };
  }
}

type Timer = ReturnType<typeof setInterval>;
