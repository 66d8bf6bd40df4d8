import { expect, test } from "bun:test";
import { longestTimer, startTimer } from "./deadline";

/** Milliseconds from the start of a timer until it fires, if single timers can be no longer than `longest`. */
async function measured(ms: number, longest?: number): Promise<number> {
  const start = performance.now();
  await new Promise<void>((resolve) => {
    startTimer(ms, resolve, longest);
  });
  return performance.now() - start;
}

test.each([
  [0, 20],
  [15, 20],
  [20, 20],
  [50, 20],
  [60, 20],
])("fires after %d ms and not earlier, with timers of %d ms", async (ms, longest) => {
  // Each timer in the chain may be early by a fraction of a millisecond.
  expect(await measured(ms, longest)).toBeGreaterThan(ms - 4);
});

test.each([
  [50, 20],
  [40 * 86_400_000, longestTimer],
])("a cancelled timer of %d ms does not fire", async (ms, longest) => {
  let calls = 0;
  const call = () => {
    calls += 1;
  };
  const stop = startTimer(ms, call, longest);
  await Bun.sleep(30);
  stop();
  await Bun.sleep(50);
  expect(calls).toBe(0);
});
