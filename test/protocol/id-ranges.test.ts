/** The user IDs that the driver picks for a container are reserved as systemd-nspawn reserves them, and given back. */

import { expect, test } from "bun:test";
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isFileLocked } from "../../src/linux/flock";
import { machineName } from "../../src/nspawn/machine-name";
import { candidateRanges } from "../../src/values/private-users";
import { run } from "../../tools/command";
import { copyTree, type Fixture, shell, useFixture } from "./fixture";
import { inside } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const script = "cat /proc/self/uid_map; trap 'exit 0' INT; echo up; while :; do sleep 0.1; done";
const lockOf = (first: number) => `/run/systemd/nspawn-uid/${first}`;

/** The container's first ID on the host, from the task's output. */
async function firstId(task: { readonly stdout: { waitFor(text: string): Promise<string> } }): Promise<number> {
  return Number(/^\s+0\s+(\d+)\s+65536$/m.exec(await task.stdout.waitFor("up\n"))?.[1]);
}

function isLocked(path: string): boolean {
  const fd = openSync(path, constants.O_RDWR);
  try {
    return isFileLocked(fd);
  } finally {
    closeSync(fd);
  }
}

test("picked IDs are locked while the task exists, also after another plugin has recovered it", async () => {
  const task = await bench.task(shell(bench.busybox, script));
  const handle = await bench.start(task);
  const first = await firstId(task);
  expect(isLocked(lockOf(first))).toBe(true);
  await bench.replacePlugin(async () => {
    expect(isLocked(lockOf(first))).toBe(false);
  });
  await bench.client().recoverTask(handle);
  expect(isLocked(lockOf(first))).toBe(true);
  await bench.client().destroyTask(task.id, true);
  expect(existsSync(lockOf(first))).toBe(false);
});

test("systemd-nspawn itself picks other IDs", async () => {
  const task = await bench.started(shell(bench.busybox, script));
  const first = await firstId(task);
  // With a directory that the task changes it picks them itself: those of the directory's owner if they are free (nspawn.c, uid_shift_pick()).
  const tree = await copyTree(bench.busybox, join(bench.scratch, "own"));
  const nspawn = async () => {
    await run(["chown", `${first}:${first}`, tree]);
    const map = await inside(bench, "cat /proc/self/uid_map", { image: tree, volatile: "no" });
    return Number(/^\s+0\s+(\d+)/.exec(map)?.[1]);
  };
  expect(await nspawn()).not.toBe(first);
  await bench.client().destroyTask(task.id, true);
  expect(await nspawn()).toBe(first);
});

test("IDs whose lock file exists are not picked", async () => {
  const task = await bench.task(shell(bench.busybox, script));
  const [first = 0, second = 0] = candidateRanges(machineName(task.config.name, task.config.allocId));
  // As a plugin that does not run has left it.
  await writeFile(lockOf(first), "", { flag: "wx" });
  try {
    await bench.start(task);
    expect(await firstId(task)).toBe(second);
    await bench.client().destroyTask(task.id, true);
    expect([existsSync(lockOf(first)), existsSync(lockOf(second))]).toEqual([true, false]);
  } finally {
    await rm(lockOf(first));
  }
});
