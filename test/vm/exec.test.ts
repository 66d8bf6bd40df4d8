import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { debianImage } from "../../tools/images/images";
import { type Fixture, useFixture } from "../protocol/fixture";
import { watchEvents } from "../support/event-watch";
import { exec, startExec } from "../support/exec";
import { megabytes } from "../support/task";
import { type TaskUnit, unitOf, upUnit } from "./unit";

const bootTimeout = 120_000;

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/** The cgroups of commands that run in a task, with their processes. */
async function sessions({ directory }: TaskUnit): Promise<Record<string, number>> {
  const payload = join(directory, "payload");
  const names = (await readdir(payload)).filter((name) => name.startsWith("nomad-exec-"));
  const count = async (name: string) =>
    (await readFile(join(payload, name, "cgroup.procs"), "utf8")).split("\n").filter(Boolean).length;
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await count(name)] as const)));
}

/** A command has its own cgroup below its task's, with the same path inside and outside, which is removed with it. */
async function expectInUnit(unit: TaskUnit): Promise<void> {
  const script = "cat /proc/self/cgroup; echo entered; sleep 1000 & cat > /dev/null; kill $!";
  const running = await startExec(bench.client(), unit.task.id, ["/bin/sh", "-c", script]);
  await running.stdout.waitFor("entered");
  const [[name, processes] = ["none", 0], ...others] = Object.entries(await sessions(unit));
  expect(others).toEqual([]);
  expect(running.stdout.text()).toBe(`0::/${name}\nentered\n`);
  expect(processes).toBeGreaterThanOrEqual(3);
  await running.endInput();
  expect(await running.ended).toMatchObject({ code: 0, stderr: "" });
  expect(await sessions(unit)).toEqual({});
}

describe("a command in a container", () => {
  test.each([{}, { process_two: true }, { user_namespacing: false }])("is in its unit's cgroup (%j)", async (more) => {
    const unit = await upUnit(bench, more);
    await expectInUnit(unit);
    await bench.client().destroyTask(unit.task.id, true);
    expect(existsSync(unit.directory)).toBe(false);
  });

  test("has its memory counted as the task's, and is killed if it exceeds the limit; the task keeps running", async () => {
    await using events = watchEvents(bench.client());
    const unit = await upUnit(bench, { tmpfs: ["/fill"] }, { resources: megabytes(48) });
    const free = Number(await unit.file("memory.current"));
    const filled = await exec(bench.client(), unit.task.id, "dd if=/dev/zero of=/fill/it bs=1M count=16");
    expect(filled.code).toBe(0);
    expect(Number(await unit.file("memory.current")) - free).toBeGreaterThan(15 * 1024 * 1024);
    const eaten = await exec(bench.client(), unit.task.id, "exec dd if=/dev/zero of=/dev/null bs=256M count=1");
    expect(eaten).toMatchObject({ code: 137, signal: 9 });
    expect(await unit.file("memory.events")).toMatch(/^oom_kill [1-9]/m);
    expect(await exec(bench.client(), unit.task.id, "echo still")).toMatchObject({ code: 0, stdout: "still\n" });
    await bench.client().stopTask(unit.task.id, { signal: "SIGKILL" });
    await events.waitFor(/^Out of memory: .*the limit is 48 MiB/m);
  });

  test("of a container with a user namespace has its IDs, and the container its own cgroup to manage", async () => {
    const unit = await upUnit(bench, { private_users: "pick" });
    const { stdout } = await exec(bench.client(), unit.task.id, "cat /proc/self/uid_map /proc/1/uid_map");
    const [own, first] = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
    expect(own).toEqual(first ?? []);
    expect(own?.[1]).toBeGreaterThan(0);
    expect((await stat(join(unit.directory, "payload"))).uid).toBe(own?.[1] ?? 0);
  });
});

test(
  "a booted container has its limits and its commands in its unit, before and after a reboot",
  async () => {
    // Without the driver's own session, which reads the journal.
    const config = { image: await debianImage(), network_veth: false, volatile: "overlay", journal: "off" };
    const task = await bench.started({ config, resources: megabytes(512) });
    await task.stdout.waitFor("Multi-User", bootTimeout);
    const unit = await unitOf(bench, task);
    expect(await unit.file("memory.max")).toBe(String(512 * 1024 * 1024));
    await expectInUnit(unit);
    const { stdout } = await exec(bench.client(), task.id, "systemctl is-system-running --wait; cat /proc/1/cgroup");
    expect(stdout).toBe("running\n0::/init.scope\n");
    // systemd as PID 1 reboots on this signal (systemd(1), SIGRTMIN+5).
    await bench.client().signalTask(task.id, "SIGRTMIN+5");
    await task.stdout.waitFor(/Reached target[^\n]*Multi-User[\s\S]*Reached target[^\n]*Multi-User/, bootTimeout);
    expect(await unit.file("memory.max")).toBe(String(512 * 1024 * 1024));
    await expectInUnit(unit);
    await bench.client().stopTask(task.id, { timeout: bootTimeout });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
    await bench.client().destroyTask(task.id);
    expect(existsSync(unit.directory)).toBe(false);
  },
  4 * bootTimeout,
);
