import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { becomesTrue } from "../../src/lib/deadline";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { timeoutScale } from "../../tools/timeout-scale";
import { exec } from "../support/exec";
import type { PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";
import { underSystemd } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const layout = readCgroupLayout();
const legacy = layout.legacy.get("cpuset");
/** The tree with the cpuset controller. systemd does not manage that of v1, which the agent then uses alone. */
const tree = legacy ?? (layout.unified?.controllers.includes("cpuset") === true ? layout.unified.path : undefined);
const possible = tree !== undefined && !(underSystemd && legacy !== undefined) && navigator.hardwareConcurrency > 1;

/** A cgroup with CPUs, as the agent has one for its tasks without cores of their own. */
function agentCpuset(cpus: string) {
  const directory = join(tree ?? "", `shared-cores-${process.pid}`);
  if (legacy === undefined) writeFileSync(join(tree ?? "", "cgroup.subtree_control"), "+cpuset");
  mkdirSync(directory);
  if (legacy !== undefined) writeFileSync(join(directory, "cpuset.mems"), readFileSync(join(legacy, "cpuset.mems")));
  const set = (list: string) => writeFileSync(join(directory, "cpuset.cpus"), list);
  set(cpus);
  return { directory, set, [Symbol.dispose]: () => existsSync(directory) && rmdirSync(directory) };
}

/** The CPUs that the command of a task, and one that is started in it, may use. */
async function allowed(task: PreparedTask): Promise<string> {
  const script = "grep -h Cpus_allowed_list /proc/1/status /proc/self/status";
  const { stdout } = await exec(bench.client(), task.id, script);
  return stdout.replaceAll("Cpus_allowed_list:\t", "").trim();
}

const both = (cpus: string) => `${cpus}\n${cpus}`;

async function expectCpus(task: PreparedTask, cpus: string): Promise<void> {
  const pace = { firstMs: 10, longestMs: 200, timeoutMs: 10_000 * timeoutScale };
  if (await becomesTrue(async () => (await allowed(task)) === both(cpus), pace)) return;
  expect(await allowed(task)).toBe(both(cpus));
}

test.skipIf(!possible)(
  "a task without cores has those that the agent's tasks share, and follows their changes",
  async () => {
    using cpuset = agentCpuset("1");
    const resources = { linuxResources: { cpusetCgroup: cpuset.directory } };
    const script = shell(bench.busybox, "echo up; while :; do sleep 1; done");
    const task = await bench.task({ ...script, resources });
    const handle = await bench.start(task);
    await task.stdout.waitFor("up");
    expect(await allowed(task)).toBe(both("1"));
    cpuset.set("0-1");
    await expectCpus(task, "0-1");
    cpuset.set("0");
    await expectCpus(task, "0");
    await bench.replacePlugin(async () => cpuset.set("1"));
    await bench.client().recoverTask(handle);
    await expectCpus(task, "1");
    cpuset.set("0");
    await expectCpus(task, "0");
    await bench.client().destroyTask(task.id, true);
  },
);

test.skipIf(!possible)("a task with cores keeps them", async () => {
  using cpuset = agentCpuset("1");
  const resources = { linuxResources: { cpusetCpus: "0", cpusetCgroup: cpuset.directory } };
  const task = await bench.started({ ...shell(bench.busybox, "echo up; while :; do sleep 1; done"), resources });
  await task.stdout.waitFor("up");
  cpuset.set("0-1");
  expect(await allowed(task)).toBe(both("0"));
});
