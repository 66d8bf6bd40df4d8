import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/command";
import { type Fixture, shell, useFixture } from "../protocol/fixture";
import { inside } from "../protocol/inside";
import { kernelTellsExits } from "../supervisor/supervisor-suite";
import { watchEvents } from "../support/event-watch";
import { exec } from "../support/exec";
import { megabytes } from "../support/task";
import { upUnit } from "./unit";

const mebibyte = 1024 * 1024;
const eat = "exec dd if=/dev/zero of=/dev/null bs=256M count=1";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

test("the node's attributes show pure cgroup v2 and systemd", async () => {
  for await (const { attributes, healthDescription } of bench.client().fingerprint()) {
    const text = (name: string) => attributes[`driver.nspawn.${name}`]?.value.value;
    expect({ cgroup: text("cgroup"), supervisor: text("supervisor"), healthDescription }).toMatchObject({
      cgroup: "v2",
      supervisor: "systemd",
    });
    break;
  }
});

test("a task that exceeds its memory limit is killed, and reported as OOM-killed", async () => {
  await using events = watchEvents(bench.client());
  for (const more of [{}, { user_namespacing: false }]) {
    const task = await bench.started({ ...shell(bench.busybox, eat, more), resources: megabytes(32) });
    const { result } = await bench.client().waitTask(task.id);
    expect(result).toMatchObject({ exitCode: 0, signal: 9, oomKilled: true });
    await bench.client().destroyTask(task.id);
  }
  const sentence =
    /^Out of memory: the kernel killed a process of the task: the limit is 32 MiB, the peak usage was \d.*$/gm;
  await events.waitFor(new RegExp(`(?:${sentence.source}[^]*){2}`, "m"));
  expect(events.text().match(sentence)).toHaveLength(2);
});

test("so is a task whose child is OOM-killed, and that exits with the shell's code for it", async () => {
  const spec = { ...shell(bench.busybox, `(${eat}); exit $?`), resources: megabytes(32) };
  const task = await bench.started(spec);
  const { result } = await bench.client().waitTask(task.id);
  expect(result).toMatchObject({ exitCode: 137, signal: 0, oomKilled: true });
});

test("so is the command of process_two, although the init exits in its place", async () => {
  const spec = { ...shell(bench.busybox, eat, { process_two: true }), resources: megabytes(32) };
  const task = await bench.started(spec);
  const { result } = await bench.client().waitTask(task.id);
  // Before Linux 6.15 the signal is not reported.
  const end = kernelTellsExits() ? { exitCode: 0, signal: 9 } : { exitCode: 255, signal: 0 };
  expect(result).toMatchObject({ ...end, oomKilled: true });
});

test("a later plugin reports an OOM kill that happened while no plugin ran", async () => {
  const script = `echo up; read line < /local/go; ${eat}`;
  const task = await bench.task({ ...shell(bench.busybox, script), resources: megabytes(32) });
  const go = join(task.dirs.local, "go");
  await run(["mkfifo", "--mode=666", go]);
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  await bench.plugin().kill("SIGKILL");
  await writeFile(go, "now\n");
  await task.stdout.ended();
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 9, oomKilled: true });
});

test("a task that the driver kills is not reported as OOM-killed, although one of its processes was earlier", async () => {
  const script = `trap '' INT; (${eat}); echo code $?; while :; do sleep 0.1; done`;
  const task = await bench.started({ ...shell(bench.busybox, script), resources: megabytes(32) });
  await task.stdout.waitFor("code 137");
  await bench.client().stopTask(task.id, { timeout: 100 });
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 9, oomKilled: false });
});

test("a task within its memory limit is not killed", async () => {
  const spec = { resources: megabytes(64) };
  expect(await inside(bench, "dd if=/dev/zero of=/dev/null bs=8M count=1; echo fine", {}, spec)).toBe("fine\n");
});

test("memory is protected, memory_max is the limit; cpu is a weight, and only the given cores are available", async () => {
  const resources = {
    allocatedResources: { memory: { memoryMb: 64n, memoryMaxMb: 128n } },
    linuxResources: { cpuShares: 1024n, cpusetCpus: "1" },
  };
  const unit = await upUnit(bench, {}, { resources });
  expect(await unit.file("memory.low")).toBe(String(64 * mebibyte));
  expect(await unit.file("memory.max")).toBe(String(128 * mebibyte));
  expect(await unit.file("cpu.weight")).toBe("39");
  expect(await unit.file("cpuset.cpus.effective")).toBe("1");
  const script = "nproc; grep Cpus_allowed_list /proc/1/status; cat /sys/fs/cgroup/cpuset.cpus.effective";
  const { stdout } = await exec(bench.client(), unit.task.id, script);
  expect(stdout).toBe("1\nCpus_allowed_list:\t1\n1\n");
});

test("cpu_hard_limit is a quota of the unit", async () => {
  const resources = { linuxResources: { cpuShares: 512n, percentTicks: 0.25 } };
  const unit = await upUnit(bench, { cpu_hard_limit: true }, { resources });
  expect(await unit.file("cpu.max")).toBe("50000 100000");
});

test("pids_limit stops a fork bomb, and the machine keeps running", async () => {
  const bomb = "bomb() { sleep 1000 & bomb | bomb; }; echo up; bomb; sleep 1000";
  const task = await bench.started(shell(bench.busybox, bomb, { pids_limit: 30 }));
  await task.stderr.waitFor(/can't fork/);
  await bench.client().stopTask(task.id, { signal: "SIGKILL" });
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 9 });
  await bench.client().destroyTask(task.id);
});

test("the events of a task that keeps running out of memory are rate-limited, and other tasks are not affected", async () => {
  await using events = watchEvents(bench.client());
  const other = await bench.started(shell(bench.busybox, "sleep 1000"));
  const begun = performance.now();
  const storm = await bench.started({
    ...shell(bench.busybox, "while :; do (dd if=/dev/zero of=/dev/null bs=256M count=1 2> /dev/null); done"),
    resources: megabytes(32),
  });
  await events.waitFor(/(?:Out of memory(?:.|\n)*){3}/);
  expect(await exec(bench.client(), other.id, "echo here")).toMatchObject({ code: 0, stdout: "here\n" });
  await Bun.sleep(5000);
  const reported = events.text().match(/^Out of memory/gm)?.length ?? 0;
  // Five at once, and then one per second.
  expect(reported).toBeLessThanOrEqual(6 + Math.ceil((performance.now() - begun) / 1000));
  await bench.client().destroyTask(storm.id, true);
});
