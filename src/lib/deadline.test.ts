import { describe, expect, spyOn, test } from "bun:test";
import { becomesTrue, longestTimer, pollUntil, startTimer } from "./deadline";

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

describe("polling", () => {
  /** The pauses of a poll whose check finds something at the given call; its clock moves only while it sleeps. */
  async function pausesOf(foundAt: number, pace: Parameters<typeof becomesTrue>[1]) {
    let clock = 0;
    let calls = 0;
    const pauses: number[] = [];
    using _now = spyOn(performance, "now").mockImplementation(() => clock);
    using _sleep = spyOn(Bun, "sleep").mockImplementation(async (ms) => {
      pauses.push(Number(ms));
      clock += Number(ms);
    });
    const check = () => {
      calls += 1;
      return calls === foundAt;
    };
    return { found: await becomesTrue(check, pace), calls, pauses };
  }

  test.each([
    ["finds it at once", 1, { firstMs: 1, longestMs: 50, timeoutMs: 0 }, true, []],
    ["is late without a timeout", 2, { firstMs: 1, longestMs: 50, timeoutMs: 0 }, false, []],
    ["doubles its pauses", 6, { firstMs: 1, longestMs: 10, timeoutMs: 1000 }, true, [1, 2, 4, 8, 10]],
    ["ends with the time", 99, { firstMs: 5, longestMs: 5, timeoutMs: 11 }, false, [5, 5, 5]],
    [
      "becomes slower",
      99,
      { firstMs: 1, longestMs: (waited: number) => (waited < 10 ? 4 : 100), timeoutMs: 100 },
      false,
      [1, 2, 4, 4, 8, 16, 32, 64],
    ],
  ])("%s", async (_name, foundAt, pace, found, pauses) => {
    expect(await pausesOf(foundAt, pace)).toEqual({ found, calls: pauses.length + 1, pauses });
  });

  test("a promised value is awaited; falsy values are found", async () => {
    let calls = 0;
    const check = async () => {
      calls += 1;
      return calls < 3 ? undefined : 0;
    };
    expect(await pollUntil(check, { firstMs: 1, longestMs: 1 })).toBe(0);
  });

  test("errors of the check, and the signal's reason, are thrown", async () => {
    const pace = { firstMs: 1, longestMs: 1 };
    const fail = () => {
      throw new Error("broken");
    };
    await expect(pollUntil(fail, pace)).rejects.toThrow("broken");
    const stop = new AbortController();
    const waiting = pollUntil(() => undefined, { ...pace, signal: stop.signal });
    stop.abort(new Error("stopped"));
    await expect(waiting).rejects.toThrow("stopped");
    await expect(pollUntil(() => true, { ...pace, signal: stop.signal })).rejects.toThrow("stopped");
  });
});
