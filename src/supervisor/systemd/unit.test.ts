import { expect, test } from "bun:test";
import { createLogger } from "../../plugin/logger";
import type { PropertyValues, UnitChange } from "../../systemd/manager";
import { NotSupervisedError } from "../supervisor";
import { SystemdUnit, type UnitManager } from "./unit";

const log = createLogger("test", () => {});
const ref = { supervisor: "systemd", machine: `unit-test-${process.pid}`, mode: "pid1", bootId: "boot" } as const;

/** systemd with one unit; the test decides when it responds. */
function fakeManager(restartUnit: UnitManager["restartUnit"] = async () => "done") {
  const listeners = new Set<(change: UnitChange) => void>();
  const notify = (change: UnitChange) => {
    for (const listener of listeners) listener(change);
  };
  const asked: ((values: PropertyValues) => void)[] = [];
  const refreshes: ("running" | undefined)[] = [];
  const manager: UnitManager = {
    watch: (_unit, listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    refresh: (_unit, what) =>
      new Promise((resolve) => {
        refreshes.push(what);
        asked.push((values) => {
          notify({ kind: "properties", values });
          resolve();
        });
      }),
    stopUnit: async () => {},
    killUnit: async () => {},
    resetFailed: async () => {},
    setUnitProperties: async () => {},
    restartUnit,
  };
  /** Responds to the oldest call, if any. */
  const answer = async (values: PropertyValues) => {
    while (asked.length === 0) await Bun.sleep(1);
    asked.shift()?.(values);
    await Bun.sleep(1);
  };
  /** As PID 1 does: one property each, in this order, between which other work may run. */
  const answerSlowly = async (values: PropertyValues) => {
    while (asked.length === 0) await Bun.sleep(1);
    for (const [name, value] of Object.entries(values)) {
      notify({ kind: "properties", values: { [name]: value } });
      await Bun.sleep(1);
    }
    asked.shift()?.({});
  };
  return { manager, notify, answer, answerSlowly, refreshes };
}

/** In the order in which PID 1 is asked for them. */
const ended = { LoadState: "loaded", ExecMainPID: 7, ExecMainCode: 1, ExecMainStatus: 3, SubState: "exited" };

test("a removal that is reported while an older refresh is answered is not missed", async () => {
  const { manager, notify, answer } = fakeManager();
  const attaching = SystemdUnit.attach(manager, ref, log);
  await answer(ended);
  const unit = await attaching;
  expect(await unit.exit).toMatchObject({ code: 3, signal: 0 });
  // As while systemd reloads: it reports that the unit is gone, and responds when it is loaded again.
  notify({ kind: "removed" });
  const released = unit.release();
  notify({ kind: "removed" });
  await answer(ended);
  await answer(ended);
  await answer({ LoadState: "not-found" });
  await released;
}, 5_000);

test("a unit that the driver kills is not OOM-killed, even if the kernel killed a process before", async () => {
  const { manager, notify, answer } = fakeManager();
  const attaching = SystemdUnit.attach(manager, ref, log);
  await answer({ LoadState: "loaded", SubState: "running" });
  const unit = await attaching;
  const killing = unit.kill();
  notify({
    kind: "properties",
    values: { ...ended, SubState: "failed", ExecMainCode: 2, ExecMainStatus: 9, Result: "oom-kill" },
  });
  await killing;
  expect(await unit.exit).toMatchObject({ code: 0, signal: 9, oomKilled: false });
}, 10_000);

test.each<[string, object, object]>([
  ["a signal that has no name", { ExecMainCode: 2, ExecMainStatus: 999 }, { code: 0, signal: 999 }],
  ["a code beyond all codes", { ExecMainCode: 1, ExecMainStatus: 100_000 }, { code: 100_000, signal: 0 }],
  ["a time beyond all times", { ExecMainExitTimestamp: 2n ** 64n - 1n }, { code: 3 }],
])("exit never rejects: %s", async (_, values, expected) => {
  const { manager, answer } = fakeManager();
  const attaching = SystemdUnit.attach(manager, ref, log);
  await answer({ ...ended, ...values });
  expect(await (await attaching).exit).toMatchObject(expected);
});

const failed = { ...ended, ExecMainStatus: 7, SubState: "failed", Result: "exit-code" };

test.each([
  ["the process ended while its properties were read", { SubState: "failed", ExecMainCode: 0, ExecMainStatus: 0 }],
  ["systemd reloads and reports each unit as dead", { SubState: "dead" }],
])("the exit code is read to its end: %s", async (_, before) => {
  const { manager, notify, answer, answerSlowly } = fakeManager();
  const attaching = SystemdUnit.attach(manager, ref, log);
  await answer({ LoadState: "loaded", SubState: "running" });
  const unit = await attaching;
  notify({ kind: "properties", values: before });
  await answerSlowly(failed);
  expect(await unit.exit).toMatchObject({ code: 7, signal: 0 });
});

test("a process that ends while its unit is read again was not killed", async () => {
  const { manager, notify, answer } = fakeManager();
  const attaching = SystemdUnit.attach(manager, ref, log);
  await answer({ LoadState: "loaded", SubState: "running" });
  const unit = await attaching;
  notify({ kind: "lost" });
  await answer({ ExecMainCode: 0, ExecMainStatus: 7, SubState: "failed" });
  await answer(failed);
  expect(await unit.exit).toMatchObject({ code: 7, signal: 0 });
});

test("a unit that ended without having run counts as killed", async () => {
  const { manager, answer } = fakeManager();
  const attaching = SystemdUnit.attach(manager, ref, log);
  const dead = { LoadState: "loaded", SubState: "dead" };
  for (let times = 0; times < 2; times += 1) await answer(dead);
  expect(await (await attaching).exit).toMatchObject({ code: 0, signal: 9 });
});

const rebooted = { ...ended, ExecMainStatus: 133, Result: "success" };
const running = { SubState: "running", ExecMainCode: 0, ExecMainStatus: 0, Result: "success" };

test.each([
  ["boot", "done", 1, running, { ...ended, ExecMainStatus: 4 }, { code: 4, signal: 0 }],
  ["boot", "canceled", 1, { ...rebooted, SubState: "dead" }, {}, { code: 0, signal: 9 }],
  ["boot", "failed", 1, { ...ended, SubState: "failed", ExecMainStatus: 1 }, {}, { code: 1, signal: 0 }],
  ["pid1", "done", 0, {}, {}, { code: 133, signal: 0 }],
] as const)(
  "a reboot that systemd leaves to the driver: mode %s, job %s",
  async (mode, result, restarts, then, last, exit) => {
    let asked = 0;
    const { manager, notify, answer } = fakeManager(async () => {
      asked += 1;
      return result;
    });
    const attaching = SystemdUnit.attach(manager, { ...ref, mode }, log);
    await answer({ LoadState: "loaded", ...running });
    const unit = await attaching;
    notify({ kind: "properties", values: rebooted });
    if (restarts > 0) await answer(then);
    notify({ kind: "properties", values: last });
    expect(await unit.exit).toMatchObject(exit);
    expect(asked).toBe(restarts);
  },
  5_000,
);

const runs = { MainPID: 2 ** 22 + 1, ExecMainStartTimestamp: 5_000_000n, SubState: "running" };

test("of a unit that runs after its start job, little is read", async () => {
  const { manager, notify, answer, refreshes } = fakeManager();
  const starting = SystemdUnit.started(manager, ref, log, undefined);
  await answer(runs);
  const unit = await starting;
  expect(refreshes).toEqual(["running"]);
  expect([unit.startedAt, unit.mainPid()]).toEqual([5000, 2 ** 22 + 1]);
  notify({ kind: "properties", values: { ...ended, MainPID: 0 } });
  expect(await unit.exit).toMatchObject({ code: 3, signal: 0 });
});

test.each([
  ["has ended already", { ...runs, SubState: "exited", MainPID: 0 }],
  ["ended while it was read", { ...runs, SubState: "exited" }],
])("all of a unit is read after its start job if it %s", async (_, values) => {
  const { manager, answer, refreshes } = fakeManager();
  const starting = SystemdUnit.started(manager, ref, log, undefined);
  await answer(values);
  await answer({ ...ended, MainPID: 0 });
  expect(await (await starting).exit).toMatchObject({ code: 3, signal: 0 });
  expect(refreshes.slice(0, 2)).toEqual(["running", undefined]);
});

test("a unit that is gone after its start job is not followed", async () => {
  const { manager, notify, answer, refreshes } = fakeManager();
  const refused = SystemdUnit.started(manager, ref, log, undefined).catch((error: unknown) => error);
  await answer({ MainPID: 0, SubState: "dead" });
  await answer({ LoadState: "not-found" });
  expect(await refused).toBeInstanceOf(NotSupervisedError);
  const before = refreshes.length;
  notify({ kind: "removed" });
  expect(refreshes).toHaveLength(before);
});
