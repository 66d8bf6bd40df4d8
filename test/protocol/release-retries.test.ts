/** What could not be removed stays registered, and is removed later without the agent, which does not ask again. */

import { beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { machinesOfClient } from "../../src/machine/registry";
import { machineName } from "../../src/nspawn/machine-name";
import type { PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";
import { sentence } from "./inside";
import { machinesBecome } from "./machines";

let bench: Fixture;
/** The allocations of the agent under test. */
let client: string;
useFixture(
  (opened) => {
    bench = opened;
  },
  { gc: { container_delay: "200ms" } },
);
beforeAll(async () => {
  client = await mkdtemp(join(bench.scratch, "client-"));
});

const prepared = (script: string) =>
  bench.task({ ...shell(bench.busybox, script, { network_veth: true }), allocRoot: client });
const machineOf = ({ config }: PreparedTask) => machineName(config.name, config.allocId);
const recordOf = (machine: string) => join("/run/nomad-driver-nspawn/network", `${machine}.json`);

/** Puts something in the place of a machine's network record that can be neither read nor removed as a file. */
async function obstruct(machine: string): Promise<void> {
  await rm(recordOf(machine), { force: true });
  await mkdir(join(recordOf(machine), "in-the-way"), { recursive: true });
}

const lines = (message: string, machine: string) =>
  bench.plugin().logs.filter((line) => line["@message"] === message && line["machine"] === machine);

/** Resolves when the reconciler has failed that often to remove a machine. */
async function failedRemovals(machine: string, count: number): Promise<void> {
  const message = "cannot remove dangling container; trying again later";
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await Bun.sleep(20)) {
    if (lines(message, machine).length >= count) return;
  }
  throw new Error(`The removal of ${machine} failed ${lines(message, machine).length} times, not ${count}.`);
}

test("a task that could not be destroyed is destroyed later, and forgotten", async () => {
  const task = await prepared("echo up; sleep 1000");
  await bench.start(task);
  await task.stdout.waitFor("up");
  const machine = machineOf(task);
  const kept = join(bench.scratch, "record");
  await copyFile(recordOf(machine), kept);
  await obstruct(machine);
  expect(await sentence(bench.client().destroyTask(task.id, true))).toContain("EISDIR");
  await failedRemovals(machine, 2);
  expect(await machinesOfClient(client)).toEqual([machine]);
  await rm(recordOf(machine), { recursive: true });
  await copyFile(kept, recordOf(machine));
  await machinesBecome(client, []);
  expect(existsSync(recordOf(machine))).toBe(false);
  expect(await sentence(bench.client().inspectTask(task.id))).toContain("task not found");
});

test("a failed start is reported with its own error, and the failed cleanup in the log, which is tried again", async () => {
  const task = await prepared("true");
  const machine = machineOf(task);
  await obstruct(machine);
  const problem = await sentence(bench.start(task));
  expect(problem).toContain("rename");
  const [cleanup, ...more] = lines("cleanup after a failed start is incomplete; trying again later", machine);
  expect(more).toEqual([]);
  expect(cleanup?.["error"]).toBeString();
  expect(cleanup?.["error"]).not.toContain("rename");
  await failedRemovals(machine, 2);
  expect(await machinesOfClient(client)).toEqual([machine]);
  await rm(recordOf(machine), { recursive: true });
  await machinesBecome(client, []);
});

test("a task is started after a failed cleanup of its earlier start as if nothing had happened", async () => {
  const task = await prepared("echo up; sleep 1000");
  const machine = machineOf(task);
  await obstruct(machine);
  expect(await sentence(bench.start(task))).not.toBe("");
  expect(await machinesOfClient(client)).toEqual([machine]);
  await rm(recordOf(machine), { recursive: true });
  await bench.start(task);
  await task.stdout.waitFor("up");
  await Bun.sleep(500);
  // The reconciler leaves it alone now.
  expect(await machinesOfClient(client)).toEqual([machine]);
  await bench.client().destroyTask(task.id, true);
  await machinesBecome(client, []);
});
