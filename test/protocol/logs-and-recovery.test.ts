import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { encode } from "@msgpack/msgpack";
import { TaskHandleSchema, TaskState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/** Counts until a signal makes it exit with code 5. */
const counter = "trap 'exit 5' USR1; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";

function numbers(text: string): number[] {
  return [...text.matchAll(/^line (\d+)$/gm)].map(([, number]) => Number(number));
}

describe("logs", () => {
  test("stdout and stderr are separate", async () => {
    const end = await bench.finished(shell(bench.busybox, "echo out; echo err >&2"));
    expect(end.stdout).toBe("out\n");
    // systemd-nspawn adds its own line if /run is not a tmpfs.
    expect(end.stderr.split("\n")[0]).toBe("err");
  });

  test("a missing reader neither delays a start nor loses a line", async () => {
    const task = await bench.task(shell(bench.busybox, counter));
    await Promise.all([task.stdout.stop(), task.stderr.stop()]);
    await bench.start(task);
    task.stdout.resume();
    task.stderr.resume();
    await task.stdout.waitFor("line 20\n");
    await task.stdout.stop();
    await Bun.sleep(200);
    task.stdout.resume();
    const last = numbers(task.stdout.text()).at(-1) ?? 0;
    await task.stdout.waitFor(`line ${last + 20}\n`);
    await bench.client().signalTask(task.id, "SIGUSR1");
    expect((await bench.client().waitTask(task.id)).result?.exitCode).toBe(5);
    await bench.client().destroyTask(task.id);
    const seen = numbers(await task.stdout.ended());
    expect(seen).toEqual(seen.map((_, index) => index + 1));
  });
});

/** Starts a task and returns its handle, as the agent keeps it. */
async function handled(script: string, more: Readonly<Record<string, unknown>> = {}) {
  const task = await bench.task(shell(bench.busybox, script, more));
  return { task, handle: await bench.start(task) };
}

/** Waits for the exit of a process that is not our child. */
async function processGone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await Bun.sleep(20);
}

describe("after a kill -9 of the plugin", () => {
  test.each([{}, { process_two: true }])(
    "a task keeps running, with its PID, its log and its exit code (%j)",
    async (more) => {
      const { task, handle } = await handled(counter, more);
      await task.stdout.waitFor("line 10\n");
      const { driver } = await bench.client().inspectTask(task.id);
      await bench.replacePlugin();
      await bench.client().recoverTask(handle);
      expect((await bench.client().inspectTask(task.id)).driver?.attributes["pid"]).toBe(
        driver?.attributes["pid"] ?? "",
      );
      const last = numbers(task.stdout.text()).at(-1) ?? 0;
      await task.stdout.waitFor(`line ${last + 20}\n`);
      await bench.client().signalTask(task.id, "SIGUSR1");
      expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 5, signal: 0 });
      await bench.client().destroyTask(task.id);
      const seen = numbers(await task.stdout.ended());
      expect(seen).toEqual(seen.map((_, index) => index + 1));
    },
  );

  test.each([
    ["exit 0", 0, 0],
    ["exit 6", 6, 0],
  ])("an exit in the meantime is known: %s", async (end, exitCode, signal) => {
    const { task, handle } = await handled(`echo up; while [ ! -e /alloc/end ]; do sleep 0.05; done; ${end}`);
    await task.stdout.waitFor("up");
    const pid = Number((await bench.client().inspectTask(task.id)).driver?.attributes["pid"]);
    await bench.replacePlugin();
    await Bun.write(`${task.dirs.alloc}/end`, "");
    await processGone(pid);
    await bench.client().recoverTask(handle);
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode, signal });
  });

  test("a task of this plugin process is recovered without effect", async () => {
    const { handle, task } = await handled("sleep 1000");
    await bench.client().recoverTask(handle);
    expect((await bench.client().inspectTask(task.id)).task?.state).toBe(TaskState.RUNNING);
  });

  test("a start of the same task replaces what an interrupted start left", async () => {
    const { task } = await handled("echo first; sleep 1000");
    await task.stdout.waitFor("first");
    await bench.replacePlugin();
    await bench.start(task);
    // The exit of the first container was the end of the log for its reader.
    await task.stdout.stop();
    task.stdout.resume();
    await task.stdout.waitFor(/first\n(.*\n)*first/);
    expect((await bench.client().inspectTask(task.id)).task?.state).toBe(TaskState.RUNNING);
  });
});

describe("what cannot be recovered is reported", () => {
  test("a task that never ran on this host", async () => {
    const { handle, task } = await handled("exit 0");
    await bench.client().waitTask(task.id);
    await bench.client().destroyTask(task.id);
    expect(await failure(bench.client().recoverTask(handle))).not.toBe("");
  });

  test("a task from before a reboot", async () => {
    const { handle, task } = await handled("sleep 1000");
    const ref = { supervisor: "process", machine: "x", mode: "pid1", bootId: "00000000-0000-0000-0000-000000000000" };
    const other = create(TaskHandleSchema, {
      ...handle,
      config: { ...task.config, id: "other" },
      driverState: encode({ version: 1, ref, startedAt: 1 }),
    });
    expect(await failure(bench.client().recoverTask(other))).toMatch(/boot/);
  });

  test("another driver's handle", async () => {
    const { handle, task } = await handled("sleep 1000");
    const other = create(TaskHandleSchema, {
      ...handle,
      config: { ...task.config, id: "another" },
      driverState: encode({ ReattachConfig: null }),
    });
    expect(await failure(bench.client().recoverTask(other))).toContain("was not written by this version");
  });
});
