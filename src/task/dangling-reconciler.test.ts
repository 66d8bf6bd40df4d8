import { expect, test } from "bun:test";
import { fakeLaunch } from "../../test/support/fake-container";
import type { Logger } from "../lib/logger";
import { DanglingReconciler } from "./dangling-reconciler";
import { Task } from "./task";
import { TaskRegistry } from "./task-registry";

const CLIENT = "/var/nomad/alloc";
const DELAY_MS = 1;

/** A registry of machines in memory, a launcher that fails as often as a test says, and a reconciler that works with both. */
function fixture({
  failures = 0,
  container = true,
  held = Promise.resolve(),
  asked = Promise.resolve(),
  delay = DELAY_MS,
} = {}) {
  const machines = new Map<string, string>();
  const tasks = new TaskRegistry();
  const discarded: string[] = [];
  const warnings: string[] = [];
  let left = failures;
  let onRun = Promise.withResolvers<void>();
  const log: Logger = {
    trace: () => {},
    debug: () => {},
    info: () => {},
    warn: (message, fields) => warnings.push(`${message} (${fields?.["machine"] ?? ""} ${fields?.["error"] ?? ""})`),
    error: () => {},
    named: () => log,
  };
  const removed = Promise.withResolvers<void>();
  const discard = async (machine: string) => {
    discarded.push(machine);
    await held;
    left -= 1;
    if (left >= 0) throw new Error(`try ${failures - left} failed`);
    machines.delete(machine);
    removed.resolve();
  };
  const starts = { count: 0 };
  const reconciler = new DanglingReconciler({
    log,
    tasks,
    options: () => ({ gc: { container, container_delay: delay, image: true, image_delay: 0, image_min_free: 0 } }),
    launcher: { discard },
    isClaimedByOther: (machine: string) => machine === "of-another-process",
    machinesOf: async (client) => {
      onRun.resolve();
      onRun = Promise.withResolvers();
      return [...machines].filter(([, owner]) => owner === client).map(([machine]) => machine);
    },
    onFound: () => asked,
    onRemoved: () => {},
    onStart: () => {
      starts.count += 1;
    },
  });
  const nextRun = () => onRun.promise;
  return { machines, starts, tasks, discarded, warnings, reconciler, removed: removed.promise, nextRun };
}

/** Longer than several runs would take. */
const quiet = () => Bun.sleep(20 * DELAY_MS);

test("a machine that could not be removed stays registered, and is tried again until it is gone", async () => {
  const { machines, discarded, warnings, reconciler, removed } = fixture({ failures: 2 });
  machines.set("left-1", CLIENT);
  reconciler.start(CLIENT);
  await removed;
  expect(discarded).toEqual(["left-1", "left-1", "left-1"]);
  expect([...machines.keys()]).toEqual([]);
  expect(warnings.filter((text) => text.startsWith("cannot remove dangling container"))).toEqual([
    "cannot remove dangling container; trying again later (left-1 try 1 failed)",
    "cannot remove dangling container; trying again later (left-1 try 2 failed)",
  ]);
  await quiet();
  expect(discarded).toHaveLength(3);
});

test("one machine that cannot be removed does not keep the others", async () => {
  const { machines, discarded, reconciler, removed, nextRun } = fixture({ failures: 1 });
  machines.set("stuck", CLIENT).set("other", CLIENT);
  reconciler.start(CLIENT);
  await removed;
  expect(discarded).toEqual(["stuck", "other"]);
  await nextRun();
  await quiet();
  expect(discarded).toEqual(["stuck", "other", "stuck"]);
});

test("a machine of another plugin process that runs is left alone, and asked for again", async () => {
  const { machines, discarded, reconciler, nextRun } = fixture();
  machines.set("of-another-process", CLIENT);
  reconciler.start(CLIENT);
  await nextRun();
  machines.set("dangling", CLIENT);
  await nextRun();
  await quiet();
  expect(discarded).toEqual(["dangling"]);
});

test("machines of tasks, of tasks that are being started, and of other clients are left alone", async () => {
  const { machines, tasks, discarded, reconciler, removed } = fixture();
  for (const machine of ["task", "starting", "dangling"]) machines.set(machine, CLIENT);
  machines.set("foreign", "/var/other/alloc");
  await tasks.add("a", "task", async () => taskOf("a", "task"));
  const start = Promise.withResolvers<Task>();
  const starting = tasks.add("b", "starting", () => start.promise);
  reconciler.start(CLIENT);
  await removed;
  await quiet();
  expect(discarded).toEqual(["dangling"]);
  start.resolve(taskOf("b", "starting"));
  await starting;
});

test("a task that could not be destroyed is destroyed by a later run, and forgotten then", async () => {
  const { machines, tasks, discarded, reconciler, nextRun } = fixture();
  machines.set("kept", CLIENT);
  reconciler.start(CLIENT);
  let failures = 2;
  const gone = Promise.withResolvers<void>();
  const release = async () => {
    failures -= 1;
    if (failures >= 0) throw new Error("the network is locked");
    machines.delete("kept");
    gone.resolve();
  };
  await tasks.add("a", "kept", async () => taskOf("a", "kept", release));
  await nextRun();
  await quiet();
  expect(tasks.undestroyed()).toEqual([]);
  await tasks.destroy("a", { force: true }).catch((error) => expect(String(error)).toContain("the network is locked"));
  expect(tasks.undestroyed().map(({ identity }) => identity.id)).toEqual(["a"]);
  expect(tasks.has("a")).toBe(true);
  reconciler.schedule();
  await gone.promise;
  await quiet();
  expect({ has: tasks.has("a"), undestroyed: tasks.undestroyed(), discarded }).toEqual({
    has: false,
    undestroyed: [],
    discarded: [],
  });
});

test("a start waits until a removal of the same machine is over", async () => {
  const gate = Promise.withResolvers<void>();
  const { machines, reconciler, nextRun } = fixture({ held: gate.promise });
  machines.set("again", CLIENT);
  reconciler.start(CLIENT);
  await nextRun();
  await quiet();
  const order: string[] = [];
  const other = reconciler.settled("another").then(() => order.push("another"));
  const settled = reconciler
    .settled("again")
    .then(() => order.push(machines.has("again") ? "again, too early" : "again"));
  await other;
  gate.resolve();
  await settled;
  expect(order).toEqual(["another", "again"]);
});

test("a recovery waits from the moment on in which its machine is found dangling", async () => {
  const question = Promise.withResolvers<void>();
  const { machines, reconciler, nextRun } = fixture({ asked: question.promise });
  machines.set("late", CLIENT);
  reconciler.start(CLIENT);
  await nextRun();
  await quiet();
  const found = reconciler.settled("late").then(() => machines.has("late"));
  question.resolve();
  expect(await found).toBe(false);
});

test("the delay begins again with each task that the agent recovers", async () => {
  const delay = 100;
  const { machines, reconciler, removed } = fixture({ delay });
  machines.set("late", CLIENT);
  reconciler.start(CLIENT);
  let last = 0;
  for (let times = 0; times < 4; times += 1) {
    await Bun.sleep(delay / 2);
    last = performance.now();
    reconciler.recovered();
  }
  await removed;
  expect(performance.now() - last).toBeGreaterThanOrEqual(delay - 1);
});

test("nothing is removed before a first task shows which client it is, and never with gc { container = false }", async () => {
  const idle = fixture();
  idle.machines.set("left", "");
  idle.reconciler.schedule();
  const off = fixture({ container: false });
  off.machines.set("left", CLIENT);
  off.reconciler.start(CLIENT);
  await quiet();
  expect([idle.discarded, off.discarded]).toEqual([[], []]);
});

function taskOf(id: string, machine: string, release: () => Promise<void> = async () => {}): Task {
  return new Task({ id, name: id, allocId: id }, fakeLaunch(machine, release), Date.now());
}

test("what an earlier process left beside machines is collected once, when the first task shows that the agent uses this process", () => {
  const { reconciler, starts } = fixture();
  expect(starts.count).toBe(0);
  for (const client of ["/var/lib/nomad/alloc", "/var/lib/nomad/alloc"]) reconciler.start(client);
  expect(starts.count).toBe(1);
});
