/** The longest a timer can run, about 25 days, in milliseconds; one set for longer fires at once (HTML standard, timers). */
export const longestTimer = 2 ** 31 - 1;

/**
 * Calls back once after any duration, unless the returned function is called before. It does not keep the process alive.
 *
 * @param ms milliseconds
 * @param longest the maximum of a single timer; shorter in tests
 */
export function startTimer(ms: number, callback: () => void, longest: number = longestTimer): () => void {
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
  const timer = setTimeout(() => timeout.resolve(false), Math.min(ms, longestTimer));
  try {
    return await Promise.race([promise.then(() => true as const), timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
