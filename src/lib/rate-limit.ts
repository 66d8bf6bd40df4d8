import { startTimer } from "./deadline";

/** A rate limit for work requested by an untrusted container. */
interface RateLimits {
  /** Pieces of short work allowed at once. */
  readonly burst: number;
  /** Pieces per second after the burst. */
  readonly perSecond: number;
}

/** Each full span of this many milliseconds counts as another piece. */
const PIECE_MS = 10;
/** The longest wait, in milliseconds. */
const MAX_PAUSE_MS = 10_000;

/** Limits the work done for one container, so that the others get their share. */
export class RateLimit {
  #left: number;
  #at: number;

  /** @param now milliseconds of a monotonic clock */
  constructor(
    private readonly limits: RateLimits,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#left = limits.burst;
    this.#at = now();
  }

  /** Milliseconds to wait before the next piece of work, after one that started at `since` and just ended. */
  pause(since: number): number {
    const { burst, perSecond } = this.limits;
    const now = this.now();
    const regained = Math.max(0, ((since - this.#at) / 1000) * perSecond);
    const cost = 1 + Math.max(0, now - since) / PIECE_MS;
    this.#left = Math.min(burst, this.#left + regained) - cost;
    this.#at = since;
    return Math.min(MAX_PAUSE_MS, Math.max(0, (-this.#left / perSecond) * 1000));
  }

  /** Runs a piece of work, then waits until the next one is allowed. */
  async work(piece: () => void): Promise<void> {
    const since = this.now();
    piece();
    const ms = this.pause(since);
    if (ms > 0) await new Promise<void>((resolve) => startTimer(ms, resolve));
  }
}
