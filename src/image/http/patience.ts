import { setTimeout as sleep } from "node:timers/promises";
import { abortError, type Subject, type TransferError } from "./transfer-error";

/** How often and how fast something is tried again, and how long silence lasts; milliseconds. */
export interface Timing {
  /** Tries in a row that bring next to nothing, before it counts as failed. */
  readonly attempts: number;
  /** Before the second try; doubled for each further one. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** A server that asks for a longer pause (Retry-After) is not waited for. */
  readonly longestAskedMs: number;
  /** Nothing received for so long: the connection is dead. */
  readonly silenceMs: number;
}

/** A registry that restarts is back in some seconds; nobody waits minutes for what may be wrong for good. */
export const TIMING: Timing = {
  attempts: 6,
  firstPauseMs: 500,
  longestPauseMs: 10_000,
  longestAskedMs: 60_000,
  silenceMs: 30_000,
};

/**
 * The pause before a try, in milliseconds: doubled each time, and between half of that and all of it, so that many that
 * failed together do not come again together.
 *
 * @param failures how many tries failed in a row, 1 at first
 * @param random from 0 to 1
 */
export function pauseMs(failures: number, random: number, timing: Timing): number {
  const whole = Math.min(timing.firstPauseMs * 2 ** (failures - 1), timing.longestPauseMs);
  return Math.round(whole * (0.5 + random / 2));
}

/** Milliseconds of a Retry-After header, seconds or a date (RFC 9110, 10.2.3); undefined where it tells nothing. */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Date.parse() takes far more than HTTP's dates.
  const date = /^[A-Za-z]{3}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Decides after each failed try whether there is another one, and waits for it. */
export class Patience {
  readonly #timing: Timing;
  #failures = 0;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  /** Enough was received: what failed before counts no more. */
  rewarded(): void {
    this.#failures = 0;
  }

  /**
   * Waits before the next try.
   *
   * @throws TransferError the failure itself where there is none, or that the signal ended the wait
   */
  async after(failure: TransferError, subject: Subject, signal: AbortSignal): Promise<void> {
    this.#failures += 1;
    const { afterMs = 0 } = failure;
    if (!failure.again || this.#failures >= this.#timing.attempts || afterMs > this.#timing.longestAskedMs)
      throw failure;
    const pause = Math.max(pauseMs(this.#failures, Math.random(), this.#timing), afterMs);
    try {
      await sleep(pause, undefined, { signal });
    } catch {
      throw abortError(subject, signal);
    }
  }
}
