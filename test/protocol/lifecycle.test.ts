import { describe, expect, test } from "bun:test";
import { TaskState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

describe("how a task ends", () => {
  test.each([
    ["exit 0", 0],
    ["exit 7", 7],
    ["exit 255", 255],
  ])("%s", async (script, code) => {
    for (const more of [{}, { process_two: true }]) {
      expect(await bench.finished(shell(bench.busybox, script, more))).toMatchObject({ code, signal: 0 });
    }
  });

  test.each([{}, { process_two: true }])("killed by signal 9 (%j)", async (more) => {
    const task = await bench.started(shell(bench.busybox, "echo up; sleep 1000", more));
    await task.stdout.waitFor("up");
    await bench.client().signalTask(task.id, "SIGKILL");
    const { result } = await bench.client().waitTask(task.id);
    expect(result).toMatchObject({ exitCode: 0, signal: 9, oomKilled: false });
  });

  test("a command that does not exist", async () => {
    const end = await bench.finished({ config: { ...shell(bench.busybox, "").config, command: ["/no/such"] } });
    expect(end.code).toBe(1);
    expect(end.stderr + end.err).toContain("/no/such");
  });

  test("several may wait, and one may give up", async () => {
    const task = await bench.started(shell(bench.busybox, "trap 'exit 4' USR1; echo up; while :; do sleep 0.1; done"));
    await task.stdout.waitFor("up");
    const stop = new AbortController();
    const given = bench.client().waitTask(task.id, { signal: stop.signal });
    const waits = [bench.client().waitTask(task.id), bench.client().waitTask(task.id)];
    stop.abort();
    expect(await failure(given)).not.toBe("");
    await bench.client().signalTask(task.id, "SIGUSR1");
    for (const { result } of await Promise.all(waits)) expect(result?.exitCode).toBe(4);
    expect((await bench.client().waitTask(task.id)).result?.exitCode).toBe(4);
  });
});

test("the log shows the time of each stage of a start, at level trace", async () => {
  const task = await bench.started(shell(bench.busybox, "sleep 1000"));
  const { driver } = await bench.client().inspectTask(task.id);
  const lines = bench
    .plugin()
    .logs.filter((line) => line["@message"] === "start stage" && line["machine"] === driver?.attributes["machine"]);
  expect(lines.map((line) => line["stage"])).toEqual([
    ...["host", "plan", "image", "root", "network", "files", "supervisor", "attach", "program", "address"],
  ]);
  for (const line of lines) expect(line).toMatchObject({ "@level": "trace", ms: expect.any(Number) });
  await bench.client().destroyTask(task.id, true);
});

describe("stopping", () => {
  const trap = "trap 'echo got it; exit 3' USR1; trap '' INT TERM; echo up; while :; do sleep 0.1; done";

  test("sends the requested signal", async () => {
    const task = await bench.started(shell(bench.busybox, trap));
    await task.stdout.waitFor("up");
    await bench.client().stopTask(task.id, { signal: "SIGUSR1", timeout: 20_000 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 3, signal: 0 });
    expect(task.stdout.text()).toContain("got it");
  });

  test("kills after the timeout; a second stop, or one after the exit, changes nothing", async () => {
    const task = await bench.started(shell(bench.busybox, trap));
    await task.stdout.waitFor("up");
    const stop = () => bench.client().stopTask(task.id, { timeout: 300 });
    await Promise.all([stop(), stop()]);
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ signal: 9 });
    await stop();
  });

  test("an unknown signal is refused", async () => {
    const task = await bench.started(shell(bench.busybox, trap));
    expect(await failure(bench.client().stopTask(task.id, { signal: "SIGNOPE" }))).toContain("SIGNOPE");
    expect(await failure(bench.client().signalTask(task.id, "SIGNOPE"))).toContain("SIGNOPE");
  });
});

describe("the rest of a task's life", () => {
  test("a running task is destroyed by force only; for an unknown one the agent's own error is returned", async () => {
    const task = await bench.started(shell(bench.busybox, "sleep 1000"));
    expect(await failure(bench.client().destroyTask(task.id))).toContain("running");
    await bench.client().destroyTask(task.id, true);
    const calls = [
      bench.client().inspectTask(task.id),
      bench.client().waitTask(task.id),
      bench.client().stopTask(task.id),
      bench.client().destroyTask(task.id, true),
      bench.client().signalTask(task.id, "SIGTERM"),
    ];
    for (const call of calls) expect(await failure(call)).toContain("task not found for given id");
  });

  test("is inspected", async () => {
    const task = await bench.started(shell(bench.busybox, "echo up; read -t 1000 x < /dev/zero; exit 2"));
    const running = await bench.client().inspectTask(task.id);
    expect(running.task).toMatchObject({ id: task.id, name: "task" });
    expect(running.driver?.attributes["machine"]).toMatch(/^task-/);
    await bench.client().stopTask(task.id, { timeout: 0 });
    const ended = await bench.client().inspectTask(task.id);
    expect(ended.task?.state).toBe(TaskState.EXITED);
    expect(ended.task?.completedAt).toBeDefined();
  });

  test("is not started twice", async () => {
    const task = await bench.started(shell(bench.busybox, "sleep 1000"));
    expect(await failure(bench.client().startTask(task.config))).toContain("already started");
  });

  test("ten at once", async () => {
    const scripts = Array.from({ length: 10 }, (_, index) => index);
    const ends = await Promise.all(
      scripts.map((index) => bench.finished(shell(bench.busybox, `echo n${index}; exit ${index}`))),
    );
    expect(ends.map(({ code }) => code)).toEqual(scripts);
    expect(ends.map(({ stdout }) => stdout)).toEqual(scripts.map((index) => `n${index}\n`));
  });

  test("is reported in task events", async () => {
    const stop = new AbortController();
    const events = bench.client().taskEvents({ signal: stop.signal });
    const task = await bench.started(shell(bench.busybox, "sleep 1000"));
    for await (const { taskId, message } of events) {
      if (taskId !== task.id) continue;
      expect(message).toMatch(/^Started machine task-/);
      break;
    }
    stop.abort();
  });
});
