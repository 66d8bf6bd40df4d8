import { expect, test } from "bun:test";
import { UsageClock } from "./usage-clock";

test("listeners of one interval are called together, until they leave", async () => {
  const clock = new UsageClock();
  const calls: string[] = [];
  const leave = clock.every(20, () => calls.push("a"));
  const done = Promise.withResolvers<void>();
  const leaveSecond = clock.every(20, () => {
    calls.push("b");
    if (calls.length >= 4) done.resolve();
  });
  await done.promise;
  expect(calls.slice(0, 4)).toEqual(["a", "b", "a", "b"]);
  leave();
  leaveSecond();
  const before = calls.length;
  await Bun.sleep(50);
  expect(calls).toHaveLength(before);
});

test("an interval beyond the timer's maximum does not become one millisecond", async () => {
  const clock = new UsageClock();
  let calls = 0;
  const leave = clock.every(40 * 86_400_000, () => {
    calls += 1;
  });
  await Bun.sleep(50);
  leave();
  expect(calls).toBe(0);
});
