import { setTimeout as sleep } from "node:timers/promises";
import { abortError, type Subject, type TransferError } from "./errors";

/** The retry policy, and how long a connection may be silent; in milliseconds. */
export interface RetryOptions {
  /** Consecutive tries without progress before the download fails. */
  readonly attempts: number;
  /** Delay before the second try; doubled for each further one. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** If a server asks for a longer pause (Retry-After), the download fails. */
  readonly longestAskedMs: number;
  /** If nothing is received for so long, the connection is dead. */
  readonly silenceMs: number;
}

/** A restarting registry is back within seconds; waiting for minutes does not help if the problem is permanent. */
export const RETRY_OPTIONS: RetryOptions = {
  attempts: 6,
  firstPauseMs: 500,
  longestPauseMs: 10_000,
  longestAskedMs: 60_000,
  silenceMs: 30_000,
};

/**
 * The backoff before a try, in milliseconds: doubled each time, with a random factor between one half and one, so that clients
 * that failed together do not retry together.
 *
 * @param failures consecutive failed tries, 1 at first
 * @param random from 0 to 1
 */
export function pauseMs(failures: number, random: number, timing: RetryOptions): number {
  const whole = Math.min(timing.firstPauseMs * 2 ** (failures - 1), timing.longestPauseMs);
  return Math.round(whole * (0.5 + random / 2));
}

/** Milliseconds of a Retry-After header, seconds or a date (RFC 9110, 10.2.3); undefined if it is not valid. */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Date.parse() accepts far more than HTTP's dates.
  const date = /^[A-Za-z]{3}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** After each failed try, decides whether to retry, and waits. */
export class Backoff {
  readonly #timing: RetryOptions;
  #failures = 0;

  constructor(timing: RetryOptions) {
    this.#timing = timing;
  }

  /** Enough was received: earlier failures no longer count. */
  reset(): void {
    this.#failures = 0;
  }

  /**
   * Waits before the next try.
   *
   * @throws TransferError the failure itself if there is no further try, or that the signal cancelled the wait
   */
  async after(failure: TransferError, subject: Subject, signal: AbortSignal): Promise<void> {
    this.#failures += 1;
    const { retryAfterMs = 0 } = failure;
    if (!failure.retryable || this.#failures >= this.#timing.attempts || retryAfterMs > this.#timing.longestAskedMs)
      throw failure;
    const pause = Math.max(pauseMs(this.#failures, Math.random(), this.#timing), retryAfterMs);
    try {
      await sleep(pause, undefined, { signal });
    } catch {
      throw abortError(subject, signal);
    }
  }
}
