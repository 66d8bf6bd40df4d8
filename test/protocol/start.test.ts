import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { becomesTrue } from "../../src/lib/deadline";
import { watchEvents } from "../support/event-watch";
import { exec } from "../support/exec";
import type { PreparedTask } from "../support/task";
import { copyTree, type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/**
 * systemd-nspawn runs the image's getent(1) to look the user up, right before it executes the program. This one says that it was asked, and
 * answers when the test allows it.
 */
const GETENT = `#!/bin/sh
: > /local/asked
until [ -e /local/go ]; do /bin/sleep 0.05; done
echo daemon:x:1:1::/:/bin/sh
`;

const PROGRAM = "trap 'exit 5' TERM; while :; do sleep 0.05; done";

async function slowTask(more: Readonly<Record<string, unknown>>): Promise<PreparedTask> {
  const image = await copyTree(bench.busybox, join(bench.scratch, crypto.randomUUID()));
  const getent = join(image, "usr/bin/getent");
  await writeFile(getent, GETENT);
  await chmod(getent, 0o755);
  return bench.task(shell(image, PROGRAM, { user: "daemon", user_namespacing: false, ...more }));
}

const inTask = ({ dirs }: PreparedTask, name: string) => join(dirs.local, name);

async function isPreparing(task: PreparedTask): Promise<boolean> {
  return becomesTrue(() => existsSync(inTask(task, "asked")), { firstMs: 5, longestMs: 50, timeoutMs: 20_000 });
}

describe("a start returns", () => {
  test.each([{}, { process_two: true }])("when the program runs, not before (%j)", async (more) => {
    const task = await slowTask(more);
    let returned = false;
    const start = bench.start(task).then(() => {
      returned = true;
    });
    expect(await isPreparing(task)).toBe(true);
    await Bun.sleep(50);
    expect(returned).toBe(false);
    await writeFile(inTask(task, "go"), "");
    await start;
    await bench.client().stopTask(task.id, { signal: "SIGTERM", timeout: 20_000 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 5, signal: 0 });
  });

  test("after ten seconds if the program does not run by then, and events say so", async () => {
    await using events = watchEvents(bench.client());
    const task = await slowTask({});
    await bench.start(task);
    await events.waitFor(
      "The task's program does not run yet: systemd-nspawn has been preparing the container for 10 s.",
    );
    expect(events.text()).not.toContain("runs now");
    expect(await failure(exec(bench.client(), task.id, "true"))).toContain("the container is still starting");
    await writeFile(inTask(task, "go"), "");
    await events.waitFor("The task's program runs now; preparing the container took");
  }, 60_000);
});

test("the settings of the plugin's runtime reach no other process", async () => {
  const task = await bench.started(shell(bench.busybox, "env; echo up; exec sleep 600"));
  await task.stdout.waitFor("up\n");
  const having: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
    // A plugin has no arguments; what it starts has some.
    const [, ...words] = (await read("cmdline")).split("\0").slice(0, -1);
    if (words.length > 0 && (await read("environ")).includes("BUN_JSC_threshold")) having.push(words.join(" "));
  }
  expect(having).toEqual([]);
  expect(task.stdout.text()).not.toContain("BUN_");
});
