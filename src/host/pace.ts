import { startTimer } from "./long-timer";

/** How much may be done for something that is not trusted to ask for little. */
export interface PaceLimits {
  /** So many pieces of short work at once. */
  readonly burst: number;
  /** And so many a second from then on. */
  readonly perSecond: number;
}

/** Work of so many milliseconds counts as another piece. */
const pieceMs = 10;
/** Nothing has to wait for longer, in milliseconds. */
const longestMs = 10_000;

/** Keeps the work for one container within bounds, so that there is time for the others. */
export class Pace {
  readonly #limits: PaceLimits;
  readonly #now: () => number;
  #left: number;
  #at: number;

  /** @param now milliseconds of a clock that is never set back */
  constructor(limits: PaceLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#left = limits.burst;
    this.#at = now();
  }

  /** Milliseconds to wait before the next piece of work, after one that began at `since` and is over now. */
  pause(since: number): number {
    const { burst, perSecond } = this.#limits;
    const now = this.#now();
    const regained = Math.max(0, ((since - this.#at) / 1000) * perSecond);
    const cost = 1 + Math.max(0, now - since) / pieceMs;
    this.#left = Math.min(burst, this.#left + regained) - cost;
    this.#at = since;
    return Math.min(longestMs, Math.max(0, (-this.#left / perSecond) * 1000));
  }

  /** Does a piece of work, and waits for as long as the next one has to. */
  async work(piece: () => void): Promise<void> {
    const since = this.#now();
    piece();
    const ms = this.pause(since);
    if (ms > 0) await new Promise<void>((resolve) => startTimer(ms, resolve));
  }
}
