/** The commands that show tasks, beside a running plugin and under either supervisor. */

import { beforeAll, expect, test } from "bun:test";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TaskHandle } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { driverBinary } from "../../tools/build/project";
import { attempt } from "../../tools/command";
import type { PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const SECRET = "not-for-the-record";
let task: PreparedTask;
let handle: TaskHandle;
let machine: string;
beforeAll(async () => {
  const config = { environment: { TOKEN: SECRET }, hostname: "web-1" };
  task = await bench.task({
    ...shell(bench.busybox, "echo up; while :; do sleep 1; done", config),
    name: "shown",
    env: { OTHER: SECRET },
  });
  handle = await bench.start(task);
  await task.stdout.waitFor("up");
  machine = `shown-${task.config.allocId}`;
});

const run = (...args: string[]) => attempt([driverBinary(), ...args]);

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(...args, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

test("ps lists the task with Nomad's names, its state and its processes", async () => {
  const { stdout } = await run("ps");
  expect(stdout).toMatch(/^JOB +GROUP +TASK +ALLOC +NAMESPACE +STATE +LEADER +MEMORY +FOR +ADDRESSES +MACHINE$/m);
  expect(stdout).toContain(machine);
  expect(await json("ps")).toMatchObject({
    tasks: expect.arrayContaining([
      expect.objectContaining({
        ...{ job: "job", group: "group", task: "shown", alloc_id: task.config.allocId, namespace: "default" },
        ...{ node: "node", state: "running", machine, network: "host", addresses: [] },
        ...{ leader: expect.any(Number), nspawn_pid: expect.any(Number), started_at: expect.any(String) },
      }),
    ]),
  });
});

test("inspect shows the config and the command line without secrets", async () => {
  for (const name of ["shown", task.config.allocId.slice(0, 8), machine, `${task.config.allocId.slice(0, 4)}/shown`]) {
    const { stdout } = await run("inspect", name);
    expect(stdout).not.toContain(SECRET);
    expect(JSON.parse(stdout)).toMatchObject({
      machine,
      config: { hostname: "web-1", environment: { TOKEN: "(hidden)" } },
      nspawn_command: expect.arrayContaining([`--machine=${machine}`, "--hostname=web-1"]),
      paths: { alloc_dir: task.config.allocDir, task_dir: task.dirs.task },
    });
  }
});

test("exec takes the name of a task", async () => {
  expect(await run("exec", "shown", "hostname")).toEqual({ code: 0, stdout: "web-1\n", stderr: "" });
});

test("the completion of a shell gets the name of the task", async () => {
  expect((await run("completion", "tasks")).stdout.split("\n")).toContain("shown");
});

test("logs prints what the collector has written, and nothing else from its directory", async () => {
  const missing = await run("logs", "shown");
  expect({ code: missing.code, stderr: missing.stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining("has no logs of task"),
  });
  const log = (name: string, text: string) => writeFile(join(task.dirs.alloc, "logs", name), text);
  await log("shown.stdout.0", "one\ntwo\n");
  await log("shown.stderr.0", "three\n");
  await log("other.stdout.0", "no\n");
  expect(await run("logs", "shown")).toEqual({ code: 0, stdout: "one\ntwo\n", stderr: "three\n" });
  expect((await run("logs", "shown", "--stdout", "-n", "1", "--json")).stdout).toBe(
    '{"stream":"stdout","line":"two"}\n',
  );
});

test("stats measures, and a task that does not exist is refused with the names of those that do", async () => {
  expect(await json("stats", "shown")).toMatchObject({ tasks: [{ machine, task: "shown" }] });
  expect(await run("stats", "nope")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`Its tasks are ${task.config.allocId.slice(0, 8)}/shown`),
  });
});

test("events follows a task until it is removed, over a restart of the plugin", async () => {
  const following = run("events", machine, "--follow");
  // As an earlier version of the driver leaves it, which wrote no record.
  await bench.replacePlugin(() => rm(`/run/nomad-driver-nspawn/files/${machine}/task.json`));
  expect(await json("ps")).toMatchObject({
    tasks: [{ job: null, alloc_id: task.config.allocId, state: "running", machine }],
  });
  await bench.client().recoverTask(handle);
  expect(await json("ps")).toMatchObject({ tasks: [{ job: "job", task: "shown", state: "running", machine }] });
  await bench.client().destroyTask(task.id, true);
  const { code, stdout } = await following;
  expect(code).toBe(0);
  const messages = stdout.split("\n").map((line) => line.slice(line.indexOf(": ") + 2));
  expect(messages).toEqual([
    `Started machine ${machine}`,
    "Recovered by another process of the plugin",
    "Killed by SIGKILL",
    "Removed",
    "",
  ]);
  expect((await run("ps")).stdout).not.toContain(machine);
});
