/** How often the delay is measured, in milliseconds. */
const INTERVAL_MS = 500;

/**
 * Measures how late a timer of this process is: everything else that the process has to do waits at least as long. It does not keep the
 * process alive.
 *
 * @param onDelay gets the delay in seconds
 */
export function watchEventLoop(onDelay: (seconds: number) => void): Disposable {
  let expected = performance.now() + INTERVAL_MS;
  const timer = setInterval(() => {
    const now = performance.now();
    onDelay(Math.max(0, now - expected) / 1000);
    expected = now + INTERVAL_MS;
  }, INTERVAL_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
