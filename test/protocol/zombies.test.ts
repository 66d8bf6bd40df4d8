/** Who reaps the processes that commands of `nomad alloc exec` and script checks leave behind. */

import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { parseStat } from "../../src/linux/proc";
import { exec } from "../support/exec";
import { type Fixture, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const COMMANDS = 20;
/** How long a process may take to be reaped on a busy machine. */
const PATIENCE_MS = 20_000;

/** A task whose program never calls wait(2), and the process ID of its systemd-nspawn. */
async function sleeper(more: Readonly<Record<string, unknown>>) {
  const task = await bench.started(shell(bench.busybox, "echo up; exec sleep 1000", more));
  await task.stdout.waitFor("up");
  const { driver } = await bench.client().inspectTask(task.id);
  return { id: task.id, nspawn: Number(driver?.attributes["pid"]) };
}

/** Runs commands that each leave a grandchild, which ends after its parents. */
async function leaveOrphans(taskId: string): Promise<void> {
  for (let number = 0; number < COMMANDS; number += 1) {
    const { code } = await exec(bench.client(), taskId, "(sleep 0.05 > /dev/null 2>&1 &)");
    expect(code).toBe(0);
  }
}

/** The processes below a process that have ended and were not reaped, except those below another one. */
async function zombiesBelow(ancestor: number, except?: number): Promise<number> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")));
  const all = new Map(texts.flatMap((text) => parseStat(text) ?? []).map((stat) => [stat.pid, stat]));
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && pid !== except && (pid === ancestor || isBelow(all.get(pid)?.parent));
  return [...all.values()].filter(({ state, parent }) => state === "Z" && isBelow(parent)).length;
}

/** Polls until a count is reached: a process is reaped a moment after it has ended. */
async function becomes(count: () => Promise<number>, expected: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  let found = await count();
  while (found !== expected && performance.now() < deadline) {
    await Bun.sleep(20);
    found = await count();
  }
  expect(found).toBe(expected);
}

test("the driver reaps its own processes; others stay with a program that is PID 1 and does not reap", async () => {
  const { id, nspawn } = await sleeper({});
  await leaveOrphans(id);
  await becomes(() => zombiesBelow(bench.plugin().pid, nspawn), 0);
  await becomes(() => zombiesBelow(nspawn), COMMANDS);
  await bench.client().destroyTask(id, true);
});

test("with init = true none are left", async () => {
  const { id, nspawn } = await sleeper({ init: true });
  await leaveOrphans(id);
  await becomes(() => zombiesBelow(bench.plugin().pid, nspawn), 0);
  await becomes(() => zombiesBelow(nspawn), 0);
});
