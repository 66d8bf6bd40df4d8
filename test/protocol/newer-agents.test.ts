/** Calls of agents newer than the one of the nomad level, according to their protocol. */

import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { NetworkIsolationSpecSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { findContainerCgroups } from "../../src/linux/cgroup/membership";
import { attempt } from "../../tools/command";
import { watchEvents } from "../support/event-watch";
import { type Fixture, failure, openFixture, shell, useFixture } from "./fixture";
import { type HostPaths, useHostPaths } from "./host-paths";
import { underSystemd } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});
let places: HostPaths;
useHostPaths((opened) => {
  places = opened;
});

/** 0001-01-01T00:00:00Z, Go's zero time, in seconds since the epoch. */
const goZero = BigInt(Date.parse("0001-01-01T00:00:00Z") / 1000);

test("a task's times and result are always set, because Go's client reads them", async () => {
  const task = await bench.started(shell(bench.busybox, "exec sleep 1000"));
  const running = (await bench.client().inspectTask(task.id)).task;
  expect(running?.startedAt === undefined ? 0 : timestampMs(running.startedAt)).toBeGreaterThan(Date.now() - 60_000);
  expect(running?.completedAt?.seconds).toBe(goZero);
  expect(running?.result).toMatchObject({ exitCode: 0, signal: 0, oomKilled: false });
  await bench.client().stopTask(task.id, { signal: "SIGKILL" });
  const ended = (await bench.client().inspectTask(task.id)).task;
  expect(ended?.completedAt === undefined ? 0 : timestampMs(ended.completedAt)).toBeGreaterThan(Date.now() - 60_000);
  expect(ended?.result?.signal).toBe(9);
});

describe("logs that are not collected", () => {
  test.each([
    ["neither path", { stdoutPath: "", stderrPath: "" }],
    ["only stderr", { stderrPath: "" }],
    ["the null device", { stdoutPath: "/dev/null", stderrPath: "/dev/null" }],
  ])("%s: the output is discarded, the task runs", async (_name, paths) => {
    const task = await bench.task(shell(bench.busybox, "echo out; echo err >&2; echo there > /alloc/f; exit 5"));
    Object.assign(task.config, paths);
    await bench.start(task);
    expect((await bench.client().waitTask(task.id)).result?.exitCode).toBe(5);
    expect(await readFile(`${task.dirs.alloc}/f`, "utf8")).toBe("there\n");
  });
});

test("memory_max = -1 reserves memory without a limit", async () => {
  const resources = { allocatedResources: { memory: { memoryMb: 256n, memoryMaxMb: -1n } } };
  const task = await bench.started({ ...shell(bench.busybox, "sleep 1000"), resources });
  const { driver } = await bench.client().inspectTask(task.id);
  const machine = driver?.attributes["machine"] ?? "";
  if (underSystemd) {
    const argv = ["systemctl", "show", "--property=MemoryMax,MemoryLow", `nomad-nspawn-${machine}.service`];
    expect((await attempt(argv)).stdout).toBe("MemoryLow=268435456\nMemoryMax=infinity\n");
  } else {
    const { unified, legacy } = findContainerCgroups(Number(driver?.attributes["pid"]), machine);
    const v1 = legacy.get("memory");
    const managed = readCgroupLayout().unified?.controllers.includes("memory") === true;
    if (v1 !== undefined) expect(await readFile(`${v1}/memory.limit_in_bytes`, "utf8")).toMatch(/^9223372036854771712/);
    else if (managed) expect(await readFile(`${unified}/memory.max`, "utf8")).toBe("max\n");
  }
});

describe("volumes = false", () => {
  const disabled = "volumes = false in the nspawn plugin's config";

  test("allows mounts without a name, once the agent has named one or called Init", async () => {
    await using strict = await openFixture({ volumes: false });
    const data = await places.folder("device-mount");
    const mount = { hostPath: data, taskPath: "/data" };
    const spec = (...mounts: object[]) => ({ ...shell(bench.busybox, "test -d /data"), mounts });
    const refusal = async (...mounts: object[]) => failure(strict.start(await strict.task(spec(...mounts))));

    expect(await refusal(mount)).toContain(disabled);
    const named = await refusal(mount, { ...mount, taskPath: "/v", requestName: "database" });
    expect(named).toContain(`The volume "database" at "/v" is not allowed`);
    await strict.client().init();
    expect(await refusal({ ...mount, requestName: "database" })).toContain(disabled);
    expect((await strict.finished(spec(mount))).code).toBe(0);
  });
});

test("an SELinux label that cannot be set is reported in a task event", async () => {
  await using events = watchEvents(bench.client());
  const data = await places.folder("labelled");
  const mounts = [{ hostPath: data, taskPath: "/data", selinuxLabel: "z" }];
  await bench.started({ ...shell(bench.busybox, "sleep 1000"), mounts });
  await events.waitFor('The SELinux label "z" of the volume at /data is not applied');
});

test("after Driver.Shutdown no work is accepted, and tasks keep running", async () => {
  await using other = await openFixture();
  const task = await other.task(shell(bench.busybox, "while :; do sleep .1; done"));
  const handle = await other.start(task);
  const waiting = await other.task(shell(bench.busybox, "true"));
  const pid = (await other.client().inspectTask(task.id)).driver?.attributes["pid"];
  await other.client().init();
  await other.client().init();
  await other.client().shutdownDriver();
  await other.client().shutdownDriver();
  expect(await failure(other.start(waiting))).toContain("the agent is shutting this plugin process down");
  expect(await failure(other.client().execTask(task.id, ["true"]))).toContain("shutting this plugin process down");
  expect((await other.client().inspectTask(task.id)).driver?.attributes["pid"]).toBe(pid);
  // An agent that was restarted in the meantime and reattached to the same process starts over.
  await other.client().init();
  expect((await other.client().execTask(task.id, ["true"])).result?.exitCode).toBe(0);
  await other.client().shutdownDriver();
  await other.replacePlugin();
  await other.client().init();
  await other.client().recoverTask(handle);
  expect((await other.client().inspectTask(task.id)).driver?.attributes["pid"]).toBe(pid);
  expect((await other.client().execTask(task.id, ["true"])).result?.exitCode).toBe(0);
});

test("enum values and fields of a later protocol do not make a call fail", async () => {
  const later: number = 99;
  const task = await bench.task(shell(bench.busybox, "exit 6"));
  const networkIsolationSpec = create(NetworkIsolationSpecSchema, { mode: later });
  const unknown = [{ no: 901, wireType: 2, data: Uint8Array.of(3, 110, 101, 119) }];
  Object.assign(task.config, { $unknown: unknown, networkIsolationSpec });
  const { config } = await bench.start(task);
  expect(config?.networkIsolationSpec?.mode).toBe(later);
  // Fields that this driver does not know are kept in the agent's handle.
  expect(config?.$unknown).toMatchObject(unknown);
  expect((await bench.client().waitTask(task.id)).result?.exitCode).toBe(6);
});
