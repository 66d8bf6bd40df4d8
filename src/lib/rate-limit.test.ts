import { expect, test } from "bun:test";
import { RateLimit } from "./rate-limit";

/** Works at the maximum allowed rate for a while, and counts. */
function countWork(limits: { burst: number; perSecond: number }, workMs: number, forMs: number): number {
  let now = 0;
  const pace = new RateLimit(limits, () => now);
  let count = 0;
  while (now < forMs) {
    const since = now;
    now += workMs;
    count += 1;
    now += pace.pause(since) + 0.01;
  }
  return count;
}

test.each<[string, number, number, number, number]>([
  ["short work: the burst, then the rate", 0, 10_000, 38, 42],
  ["work of 10 ms counts as two pieces", 10, 10_000, 18, 22],
  ["work of a second is rarely allowed", 1_000, 100_000, 8, 12],
])("%s", (_, workMs, forMs, least, most) => {
  const count = countWork({ burst: 20, perSecond: 2 }, workMs, forMs);
  expect(count).toBeGreaterThanOrEqual(least);
  expect(count).toBeLessThanOrEqual(most);
});

test("after an idle time the full burst is available again, and no more", () => {
  let now = 0;
  const pace = new RateLimit({ burst: 3, perSecond: 1 }, () => now);
  const pauses = () => [1, 2, 3, 4].map(() => pace.pause(now));
  expect(pauses()).toEqual([0, 0, 0, 1000]);
  now = 1_000_000;
  expect(pauses()).toEqual([0, 0, 0, 1000]);
});

test("work runs at once, the wait comes afterwards", async () => {
  const pace = new RateLimit({ burst: 1, perSecond: 100 });
  const begin = performance.now();
  let done = 0;
  for (let count = 0; count < 4; count += 1) await pace.work(() => (done += 1));
  expect(done).toBe(4);
  expect(performance.now() - begin).toBeGreaterThan(25);
});
