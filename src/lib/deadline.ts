/** The longest a timer can run, about 25 days, in milliseconds; one set for longer fires at once (HTML standard, timers). */
export const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Calls back once after any duration, unless the returned function is called before. It does not keep the process alive.
 *
 * @param ms milliseconds
 * @param longest the maximum of a single timer; shorter in tests
 */
export function startTimer(ms: number, callback: () => void, longest: number = LONGEST_TIMER): () => void {
  let timer: NodeJS.Timeout;
  const wait = (left: number): void => {
    const now = Math.min(left, longest);
    timer = setTimeout(() => (left > now ? wait(left - now) : callback()), now);
    timer.unref();
  };
  wait(ms);
  return () => clearTimeout(timer);
}

/** Waits until a promise settles, at most `ms`; true if it settled in time. */
export async function settles(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timeout = Promise.withResolvers<false>();
  const timer = setTimeout(() => timeout.resolve(false), Math.min(ms, LONGEST_TIMER));
  try {
    return await Promise.race([promise.then(() => true as const), timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Settles like `work`, and calls `late` if that takes longer than `ms`: `late` has to cancel the work. */
export async function withTimeout<Result>(work: Promise<Result>, ms: number, late: () => void): Promise<Result> {
  const timer = setTimeout(late, ms);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when a signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/**
 * Settles like `work` unless the signal aborts first; the work goes on then, and its own error is ignored.
 *
 * @param reason what is thrown then; the signal's own reason by default
 */
export async function unlessAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal,
  reason: () => unknown = () => signal.reason,
): Promise<Result> {
  const stopped = Promise.withResolvers<never>();
  const abort = () => stopped.reject(reason());
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  try {
    // The signal first: it decides if both have happened.
    return await Promise.race([stopped.promise, work]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** When a condition is checked that no event reports: at once, then after pauses that double up to the longest. */
interface PollPace {
  readonly firstMs: number;
  /** The longest pause, or a function of the milliseconds waited so far. */
  readonly longestMs: number | ((waitedMs: number) => number);
  readonly signal?: AbortSignal | undefined;
}

type LimitedPace = PollPace & { readonly timeoutMs: number };
type Check<Found> = () => Found | undefined | Promise<Found | undefined>;

/**
 * Repeats a check until it finds something. It is made at least once, and the last time after the deadline.
 *
 * @returns what it found; undefined if the time is over
 * @throws what the check throws, and what the signal aborts with
 */
export function pollUntil<Found>(check: Check<Found>, pace: LimitedPace): Promise<Found | undefined>;
export function pollUntil<Found>(check: Check<Found>, pace: PollPace): Promise<Found>;
export async function pollUntil<Found>(
  check: Check<Found>,
  { firstMs, longestMs, signal, timeoutMs = Infinity }: PollPace & Partial<LimitedPace>,
): Promise<Found | undefined> {
  const start = performance.now();
  for (let pause = firstMs; ; pause *= 2) {
    signal?.throwIfAborted();
    const found = await check();
    if (found !== undefined) return found;
    const waited = performance.now() - start;
    if (waited >= timeoutMs) return undefined;
    pause = Math.min(pause, typeof longestMs === "number" ? longestMs : longestMs(waited));
    await Bun.sleep(pause);
  }
}

/** Waits until a condition holds, as pollUntil() does; false if the time is over. */
export async function becomesTrue(condition: () => boolean | Promise<boolean>, pace: LimitedPace): Promise<boolean> {
  return (await pollUntil(async () => (await condition()) || undefined, pace)) ?? false;
}
