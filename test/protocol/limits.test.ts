import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { containerCgroups } from "../../src/linux/cgroup/membership";
import { run } from "../../tools/command";
import { watchEvents } from "../support/event-watch";
import { megabytes, type PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";
import { underSystemd } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/** The cgroups of a machine or unit by controller, if it has one of its own. */
function byController(membership: string, name: string): (controller: string) => string | undefined {
  const layout = readCgroupLayout();
  const { unified, legacy } = containerCgroups(layout, membership, name);
  const controllers = layout.unified?.controllers ?? [];
  return (controller) => legacy.get(controller) ?? (controllers.includes(controller) ? unified : undefined);
}

/**
 * The controllers with which this machine limits tasks. The driver's own supervisor has all that the machine has; a systemd beside v1
 * controllers that it does not manage has not: there a unit with limits shows it.
 */
async function limiting(): Promise<(controller: string) => boolean> {
  if (!underSystemd) {
    const { legacy, unified } = readCgroupLayout();
    return (controller) => legacy.has(controller) || unified?.controllers.includes(controller) === true;
  }
  const unit = `limits-test-${process.pid}.service`;
  const limits = ["TasksMax=100", "CPUQuota=50%", "MemoryMax=100M"].map((property) => `--property=${property}`);
  const start = ["systemd-run", "--wait", "--pipe", "--quiet", "--collect", `--unit=${unit}`, ...limits];
  const { stdout } = await run([...start, "cat", "/proc/self/cgroup"]);
  const of = byController(stdout, unit);
  return (controller) => of(controller) !== undefined;
}

const limits = await limiting();

/** The cgroup of a running task in which a controller limits it. */
async function cgroupOf(task: PreparedTask, controller: string): Promise<string> {
  const { driver } = await bench.client().inspectTask(task.id);
  const membership = await readFile(`/proc/${driver?.attributes["pid"]}/cgroup`, "utf8");
  return byController(membership, driver?.attributes["machine"] ?? "")(controller) ?? "";
}

async function up(more: Readonly<Record<string, unknown>>, spec: object = {}): Promise<PreparedTask> {
  const task = await bench.started({ ...shell(bench.busybox, "echo up; sleep 1000", more), ...spec });
  await task.stdout.waitFor("up");
  return task;
}

/** The content of the first of these files that exists. */
async function firstOf(directory: string, ...names: readonly string[]): Promise<string> {
  const name = names.find((candidate) => existsSync(`${directory}/${candidate}`));
  return name === undefined ? "" : (await readFile(`${directory}/${name}`, "utf8")).trim();
}

// A host whose systemd does not manage a controller cannot limit by it; the vm level has one that does.
test.skipIf(!limits("pids"))("pids_limit bounds processes", async () => {
  const task = await up({ pids_limit: 20 });
  const directory = await cgroupOf(task, "pids");
  expect(await firstOf(directory, "pids.max")).toBe("20");
  const forks = "for i in $(seq 1 100); do sleep 100 & done; echo; echo end";
  const end = await bench.finished(shell(bench.busybox, forks, { pids_limit: 20 }));
  expect(end.stdout).not.toContain("end");
  expect(end.stderr).toContain("fork");
});

test.skipIf(!limits("cpu"))("cpu_hard_limit sets a quota; without it none is set", async () => {
  const resources = { linuxResources: { cpuShares: 512n, percentTicks: 0.25 } };
  const [limited, free] = [await up({ cpu_hard_limit: true }, { resources }), await up({}, { resources })];
  const directory = await cgroupOf(limited, "cpu");
  const quota = await firstOf(directory, "cpu.max", "cpu.cfs_quota_us");
  expect(Number(quota.split(" ")[0])).toBe(Math.round(0.25 * navigator.hardwareConcurrency * 100_000));
  const other = await cgroupOf(free, "cpu");
  expect(await firstOf(other, "cpu.max", "cpu.cfs_quota_us")).toMatch(/^(max 100000|-1)$/);
});

test.skipIf(!limits("memory"))(
  "a task that runs out of memory is reported as OOM-killed, with limit and peak usage",
  async () => {
    await using events = watchEvents(bench.client());
    const eat = "exec dd if=/dev/zero of=/dev/null bs=256M count=1";
    const task = await bench.started({ ...shell(bench.busybox, eat), resources: megabytes(32) });
    const { result } = await bench.client().waitTask(task.id);
    expect(result).toMatchObject({ exitCode: 0, signal: 9, oomKilled: true });
    await events.waitFor(
      /^Out of memory: the kernel killed a process of the task: the limit is 32 MiB, the peak usage was \d/m,
    );
  },
);

test.skipIf(!limits("memory"))(
  "a task that the driver kills is not reported as OOM-killed, although one of its processes was earlier",
  async () => {
    const script =
      "trap '' INT; (exec dd if=/dev/zero of=/dev/null bs=256M count=1); echo code $?; while :; do sleep 0.1; done";
    for (const end of ["stop", "stop with SIGKILL", "signal", "destroy"] as const) {
      const task = await bench.started({ ...shell(bench.busybox, script), resources: megabytes(32) });
      await task.stdout.waitFor("code 137");
      const waiting = bench.client().waitTask(task.id);
      if (end === "stop") await bench.client().stopTask(task.id, { timeout: 100 });
      if (end === "stop with SIGKILL") await bench.client().stopTask(task.id, { signal: "SIGKILL" });
      if (end === "signal") await bench.client().signalTask(task.id, "SIGKILL");
      if (end === "destroy") await bench.client().destroyTask(task.id, true);
      expect({ end, ...(await waiting).result }).toMatchObject({ end, exitCode: 0, signal: 9, oomKilled: false });
    }
  },
);
