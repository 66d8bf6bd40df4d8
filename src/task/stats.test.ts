import { describe, expect, test } from "bun:test";
import { CPUUsage_Fields, MemoryUsage_Fields } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { StatsTicker, taskUsage } from "./stats";

describe("usage-clock", () => {
  test("listeners of one interval are called together, until they leave", async () => {
    const clock = new StatsTicker();
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
    const clock = new StatsTicker();
    let calls = 0;
    const leave = clock.every(40 * 86_400_000, () => {
      calls += 1;
    });
    await Bun.sleep(50);
    leave();
    expect(calls).toBe(0);
  });
});

describe("usage", () => {
  const at = (milliseconds: number, figures: Parameters<typeof taskUsage>[0]["figures"]) => ({
    at: milliseconds,
    figures,
  });
  const ms = 1_000_000n;

  describe("taskUsage", () => {
    test("half a CPU for two seconds, in percent and ticks", () => {
      const before = at(0, { cpu: { usage: 10n * ms, user: 5n * ms, system: 5n * ms } });
      const now = at(2000, { cpu: { usage: 1010n * ms, user: 805n * ms, system: 205n * ms } });
      expect(taskUsage(before, now, 2000)).toEqual({
        cpu: {
          percent: 50,
          totalTicks: 1000,
          userMode: 40,
          systemMode: 10,
          throttledPeriods: 0n,
          throttledTime: 0n,
          measuredFields: [
            CPUUsage_Fields.PERCENT,
            CPUUsage_Fields.TOTAL_TICKS,
            CPUUsage_Fields.USER_MODE,
            CPUUsage_Fields.SYSTEM_MODE,
          ],
        },
      });
    });

    test("throttling is reported if it is measured", () => {
      const cpu = { usage: 1n, throttledPeriods: 3n, throttled: 9n };
      const usage = taskUsage(at(0, { cpu }), at(1, { cpu }), 1);
      expect(usage.cpu).toMatchObject({ throttledPeriods: 3n, throttledTime: 9n });
      expect(usage.cpu?.measuredFields).toEqual([
        CPUUsage_Fields.PERCENT,
        CPUUsage_Fields.TOTAL_TICKS,
        CPUUsage_Fields.THROTTLED_PERIODS,
        CPUUsage_Fields.THROTTLED_TIME,
      ]);
    });

    test("after a reboot of the container, the usage is 0 and not negative", () => {
      expect(taskUsage(at(0, { cpu: { usage: 900n } }), at(1, { cpu: { usage: 1n } }), 1).cpu?.percent).toBe(0);
    });

    test("memory: what is not measured is not reported", () => {
      const usage = taskUsage(at(0, {}), at(1, { memory: { usage: 7n, rss: 3n, swap: 0n } }), 1);
      expect(usage).toEqual({
        memory: {
          usage: 7n,
          rss: 3n,
          cache: 0n,
          swap: 0n,
          maxUsage: 0n,
          kernelUsage: 0n,
          kernelMaxUsage: 0n,
          measuredFields: [MemoryUsage_Fields.USAGE, MemoryUsage_Fields.RSS, MemoryUsage_Fields.SWAP],
        },
      });
    });

    test("a host that measures nothing", () => expect(taskUsage(at(0, {}), at(1, {}), 1)).toEqual({}));
  });
});
