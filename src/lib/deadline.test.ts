import { describe, expect, mock, spyOn, test } from "bun:test";
import {
  aborted,
  becomesTrue,
  LONGEST_TIMER,
  pollUntil,
  settles,
  startTimer,
  unlessAborted,
  withTimeout,
} from "./deadline";

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
  [40 * 86_400_000, LONGEST_TIMER],
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

const never = new Promise<never>(() => {});

test.each([
  ["resolves in time", Promise.resolve(1), true],
  ["takes longer", never, false],
])("settles: a promise that %s", async (_what, promise, inTime) => {
  expect(await settles(promise, 10)).toBe(inTime);
});

test("settles: throws the promise's error", async () => {
  await expect(settles(Promise.reject(new Error("broken")), 10)).rejects.toThrow("broken");
});

describe("unlessAborted", () => {
  test.each([
    ["work that is done", Promise.resolve("done"), undefined, "done"],
    ["work that goes on", never, 5, "stopped"],
    ["work that goes on, with a signal that has aborted", never, 0, "stopped"],
    ["work that is done, with a signal that has aborted", Promise.resolve("done"), 0, "stopped"],
  ])("%s", async (_what, work, abortAfter, expected) => {
    const stop = new AbortController();
    const abort = () => stop.abort(new Error("stopped"));
    if (abortAfter === 0) abort();
    else if (abortAfter !== undefined) setTimeout(abort, abortAfter);
    const result = unlessAborted<string>(work, stop.signal).catch((error: Error) => error.message);
    expect(await result).toBe(expected);
  });

  test("can throw another reason, and ignores the error of the work that goes on", async () => {
    const work = Promise.withResolvers<never>();
    const reason = () => new Error("another");
    await expect(unlessAborted(work.promise, AbortSignal.abort(), reason)).rejects.toThrow("another");
    work.reject(new Error("ignored"));
    await Bun.sleep(1);
  });
});

test("aborted: resolves when the signal aborts, or at once", async () => {
  const stop = new AbortController();
  const waiting = aborted(stop.signal);
  expect(await settles(waiting, 5)).toBe(false);
  stop.abort();
  await waiting;
  await aborted(stop.signal);
});

test.each([
  ["in time", 5_000, "done", 0],
  ["late", 1, "done", 1],
])("withTimeout: work that is done %s", async (_when, ms, result, calls) => {
  const late = mock(() => {});
  const work = Bun.sleep(10).then(() => "done");
  expect(await withTimeout(work, ms, late)).toBe(result);
  await Bun.sleep(20);
  expect(late).toHaveBeenCalledTimes(calls);
});
