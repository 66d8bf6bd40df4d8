import { expect, test } from "bun:test";
import {
  CPUUsage_Fields,
  MemoryUsage_Fields,
  type TaskStats,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { timeoutScale } from "../../tools/timeout-scale";
import type { PreparedTask } from "../support/task";
import { type Fixture, failure, openFixture, shell, useFixture } from "./fixture";
import { underSystemd } from "./inside";

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { stats_interval: "100ms" },
);

/** systemd 257 uses no memory controller on a hybrid host; the driver's own cgroups do. */
const memoryMeasured = !underSystemd || readCgroupLayout().kind === "v2";

/** The first statistics of a task that satisfy the condition. */
async function statsUntil(task: PreparedTask, wanted: (stats: TaskStats) => boolean): Promise<TaskStats> {
  for await (const { stats } of bench.client().taskStats(task.id, 100, { timeout: 20_000 })) {
    if (stats !== undefined && wanted(stats)) return stats;
  }
  throw new Error("The statistics ended before they were as wanted.");
}

test("a busy task uses one CPU, an idle one none", async () => {
  const busy = await bench.started(shell(bench.busybox, "echo up; while :; do :; done"));
  const idle = await bench.started(shell(bench.busybox, "echo up; sleep 1000"));
  await Promise.all([busy.stdout.waitFor("up"), idle.stdout.waitFor("up")]);
  const percent = (stats: TaskStats) => stats.aggResourceUsage?.cpu?.percent ?? 0;
  // Other processes may use the machine, and hold up the plugin within one of its intervals of 100 ms.
  const { aggResourceUsage } = await statsUntil(busy, (stats) => percent(stats) > 25 && percent(stats) < 120);
  const cpu = aggResourceUsage?.cpu;
  expect(cpu?.measuredFields).toContain(CPUUsage_Fields.PERCENT);
  expect(cpu?.measuredFields).toContain(CPUUsage_Fields.USER_MODE);
  // The kernel reports them in separate files, which are read one after the other.
  expect(Math.abs((cpu?.userMode ?? 0) + (cpu?.systemMode ?? 0) - (cpu?.percent ?? 0))).toBeLessThan(20);
  expect(cpu?.totalTicks).toBeGreaterThan(0);
  expect(percent(await statsUntil(idle, (stats) => percent(stats) < 5))).toBeLessThan(5);
  await bench.client().destroyTask(busy.id, true);
  await bench.client().destroyTask(idle.id, true);
});

test("memory is the task's own, and reported only if it is measured", async () => {
  const script = "dd if=/dev/zero of=/dev/shm/fill bs=1M count=40 2>/dev/null; echo filled; sleep 1000";
  const task = await bench.started(shell(bench.busybox, script));
  await task.stdout.waitFor("filled");
  const { aggResourceUsage } = await statsUntil(task, () => true);
  const memory = aggResourceUsage?.memory;
  if (!memoryMeasured) {
    expect(memory).toBeUndefined();
    return;
  }
  expect(memory?.measuredFields).toContain(MemoryUsage_Fields.USAGE);
  expect(memory?.measuredFields).toContain(MemoryUsage_Fields.CACHE);
  const mebibytes = Number(memory?.usage ?? 0n) / 1024 / 1024;
  expect(mebibytes).toBeGreaterThan(40);
  expect(mebibytes).toBeLessThan(100);
});

test("several streams of one task, which end with it", async () => {
  const task = await bench.started(shell(bench.busybox, "echo up; sleep 1000"));
  const intervals = [100, 150];
  const begun = intervals.map(() => Promise.withResolvers<void>());
  const ends = intervals.map(async (interval, number) => {
    for await (const { stats } of bench.client().taskStats(task.id, interval, { timeout: 20_000 * timeoutScale })) {
      expect(stats?.id).toBe(task.id);
      begun[number]?.resolve();
    }
  });
  await Promise.race([Promise.all(begun.map(({ promise }) => promise)), Promise.all(ends)]);
  await bench.client().stopTask(task.id, { signal: "SIGKILL" });
  await Promise.all(ends);
  for (const { promise } of begun) await promise;
});

test("the operator's interval is the shortest there is", async () => {
  await using slow = await openFixture({ stats_interval: "400ms" });
  const task = await slow.started(shell(slow.busybox, "echo up; sleep 1000"));
  const start = performance.now();
  let count = 0;
  for await (const _ of slow.client().taskStats(task.id, 1)) if (++count === 3) break;
  expect(performance.now() - start).toBeGreaterThan(1000);
});

test("an unknown task is reported as unknown", async () => {
  const ask = async () => {
    for await (const _ of bench.client().taskStats("unknown", 100)) return;
  };
  expect(await failure(ask())).toContain("task not found for given id");
});
