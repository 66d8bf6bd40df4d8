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
