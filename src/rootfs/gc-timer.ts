import { startTimer } from "../lib/deadline";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";

/** Schedules a garbage collection: at most one is scheduled at a time, the earliest that was asked for. */
export class GcTimer {
  #next: { readonly at: number; readonly stop: () => void } | undefined;

  /** @param collect may schedule the next one; its errors are logged */
  constructor(
    private readonly collect: () => Promise<void>,
    private readonly log: Logger,
  ) {}

  /** @param delay milliseconds */
  startIn(delay: number): void {
    const at = performance.now() + delay;
    // The earlier collection schedules another one if it leaves images that are not old enough.
    if (this.#next !== undefined && this.#next.at <= at) return;
    this.#next?.stop();
    const stop = startTimer(delay, () => {
      this.#next = undefined;
      this.collect().catch((error: unknown) => {
        this.log.warn("cannot remove unused images", { error: errorText(error) });
      });
    });
    this.#next = { at, stop };
  }
}
