import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machinesOfClient } from "../../src/machine/registry";
import { settingsFilePath } from "../../src/nspawn/environment";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { type PreparedTask, prepareTask } from "../support/task";
import { type Fixture, openFixture, shell } from "./fixture";
import { machinesBecome } from "./machines";

let before: HostState;
let bench: Fixture;
/** The allocations of the agent under test. */
let allocRoot: string;
/** Milliseconds until dangling containers are listed: longer than a start takes on a busy machine. */
const delay = 4_000;
beforeAll(async () => {
  before = await hostState();
  allocRoot = await mkdtemp(join(tmpdir(), "alloc-root-"));
  bench = await openFixture({ gc: { container_delay: `${delay}ms` } });
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await rm(allocRoot, { recursive: true, force: true });
  expect(await leftovers(before)).toEqual([]);
});

const forever = "echo up; while :; do sleep 0.1; done";

async function machineOf(task: PreparedTask): Promise<string> {
  return (await bench.client().inspectTask(task.id)).driver?.attributes["machine"] ?? "";
}

test("dangling containers are removed after the delay; all others stay", async () => {
  const own = { allocRoot };
  const start = async (spec: object) => {
    const task = await bench.task({ ...shell(bench.busybox, forever, { environment: { A: "b\nc" } }), ...spec });
    const handle = await bench.start(task);
    await task.stdout.waitFor("up");
    return { task, handle, machine: await machineOf(task) };
  };
  const forgotten = await start(own);
  const recovered = await start(own);
  const another = await start({});
  expect((await machinesOfClient(allocRoot)).sort()).toEqual([forgotten.machine, recovered.machine].sort());
  await bench.replacePlugin();
  await bench.client().recoverTask(recovered.handle);
  const late = await start(own);
  // Nothing is removed before the delay is over.
  expect(await machinesOfClient(allocRoot)).toHaveLength(3);
  await machinesBecome(allocRoot, [recovered.machine, late.machine]);
  expect(existsSync(settingsFilePath(forgotten.machine))).toBe(false);
  const warned = bench.plugin().logs.filter((line) => line["@message"].includes("removing dangling container"));
  expect(warned.map((line) => line["machine"])).toEqual([forgotten.machine]);
  // The others keep running, including another agent's.
  for (const { task } of [recovered, late]) {
    await bench.client().signalTask(task.id, "SIGKILL");
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ signal: 9 });
  }
  await bench.client().recoverTask(another.handle);
  expect(await machineOf(another.task)).toBe(another.machine);
});

test("the next plugin removes what a plugin killed in the middle of a start leaves", async () => {
  for (const delay of [2, 5, 8, 12, 16, 20, 30, 40, 60]) {
    const task = await bench.task({ ...shell(bench.busybox, forever), allocRoot });
    const start = bench
      .client()
      .startTask(task.config)
      .catch(() => undefined);
    await Bun.sleep(delay);
    await bench.replacePlugin();
    await start;
  }
  // Another task shows the plugin which agent it belongs to.
  await bench.finished({ ...shell(bench.busybox, "true"), allocRoot });
  await machinesBecome(allocRoot, []);
});

test.each([
  ["gc { container = false }", { container: false, container_delay: "100ms" }],
  ["a delay longer than any timer", { container_delay: "1000h" }],
])("%s keeps them", async (_name, gc) => {
  await using keeping = await openFixture({ gc });
  const root = await mkdtemp(join(tmpdir(), "alloc-root-"));
  const task = await prepareTask({ ...shell(keeping.busybox, forever), allocRoot: root });
  const { handle } = await keeping.client().startTask(task.config);
  await keeping.replacePlugin();
  await keeping.finished({ ...shell(keeping.busybox, "true"), allocRoot: root });
  await Bun.sleep(500);
  expect(await machinesOfClient(root)).toHaveLength(1);
  if (handle !== undefined) await keeping.client().recoverTask(handle);
  await keeping.client().destroyTask(task.id, true);
  await task[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
  expect(await readdir(tmpdir()).then((names) => names.filter((name) => root.endsWith(name)))).toEqual([]);
});
