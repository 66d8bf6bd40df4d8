import { expect, test } from "bun:test";
import { longestTimer, startTimer } from "./long-timer";

/** Milliseconds from the start of a timer to its call, where timers can be no longer than `longest`. */
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
])("%d ms are over then, and not before, with timers of %d ms", async (ms, longest) => {
  // A timer may be early by the fraction of a millisecond for each part.
  expect(await measured(ms, longest)).toBeGreaterThan(ms - 4);
});

test.each([
  [50, 20],
  [40 * 86_400_000, longestTimer],
])("one of %d ms that is given up calls nobody", async (ms, longest) => {
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
