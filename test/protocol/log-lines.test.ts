/** The driver's own log lines: Nomad's names in each line about a task, and nothing secret at any level. */

import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startExec } from "../support/exec";
import type { LogLine } from "../support/plugin-process";
import type { PreparedTask } from "../support/task";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const canary = () => `canary-${crypto.randomUUID()}`;

/** Lines about a task: they name its machine, or itself. */
function linesOf(lines: readonly LogLine[], task: PreparedTask): readonly LogLine[] {
  return lines.filter((line) => JSON.stringify(line).includes(task.config.allocId));
}

function expectNames(lines: readonly LogLine[], task: PreparedTask): void {
  for (const line of linesOf(lines, task)) {
    const { name, allocId } = task.config;
    expect(line).toMatchObject({
      task: name,
      alloc: allocId,
      job: "job",
      namespace: "default",
      machine: expect.any(String),
    });
  }
}

test("a task's life: start, recovery, commands, exit and removal", async () => {
  const secrets = Array.from({ length: 6 }, canary);
  const [config = "", nomad = "", device = "", credential = "", file = "", argument = ""] = secrets;
  const task = await bench.task({
    ...shell(bench.busybox, `: ${argument}; echo up; while :; do sleep 1; done`, {
      environment: { A: config },
      credentials: { a: credential },
      credential_files: { b: "secrets/word" },
      auth: { username: "user", password: credential },
    }),
    name: "log-lines",
    env: { B: nomad },
    deviceEnv: { C: device },
  });
  await writeFile(join(task.dirs.secrets, "word"), file);
  await bench.start(task);
  await task.stdout.waitFor("up");
  const first = bench.plugin();
  const handle = await bench.client().inspectTask(task.id);
  expect(handle.task?.name).toBe("log-lines");
  expect(linesOf(first.logs, task).map((line) => line["@message"])).toContain("container started");
  expect(linesOf(first.logs, task).filter((line) => line["@level"] === "trace").length).toBeGreaterThan(5);
  const { ended } = await startExec(bench.client(), task.id, ["/bin/echo", argument]);
  expect((await ended).stdout).toContain(argument);
  await bench.client().destroyTask(task.id, true);
  expectNames(first.logs, task);
  expect(linesOf(first.logs, task).map((line) => line["@message"])).toContain("container ended");
  for (const secret of secrets) expect(JSON.stringify(first.logs)).not.toContain(secret);
});

test("a start that fails, late and early", async () => {
  const secret = canary();
  const spec = (more: object) => ({
    ...shell(bench.busybox, "true", { environment: { A: secret }, ...more }),
    env: { B: secret },
  });
  for (const more of [
    { image: "/nowhere", auth: { username: "u", password: secret } },
    {
      image: `registry.invalid/${"x"}:1`,
      volatile: undefined,
      pull: "never",
      auth: { username: "u", password: secret },
    },
    { command: ["/bin/nothing"] },
    { bind: { [`/${secret}-path`]: 7 } },
    { credentials: { "not:valid": secret } },
    { environment: { A: `${secret}\0` } },
  ]) {
    const task = await bench.task(spec(more));
    await failure(bench.start(task));
    expectNames(bench.plugin().logs, task);
  }
  const failed = bench.plugin().logs.filter((line) => line["@message"] === "task start failed");
  expect(failed.length).toBeGreaterThan(3);
  // The job's own path is no secret: an error names it.
  const others = bench.plugin().logs.filter((line) => !JSON.stringify(line).includes(`${secret}-path`));
  expect(JSON.stringify(others)).not.toContain(secret);
});

test("lines of a recovered task, also without its config block", async () => {
  const task = await bench.task(shell(bench.busybox, "echo up; sleep 1000"));
  const handle = await bench.start(task);
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  await bench.client().destroyTask(task.id, true);
  const lines = bench.plugin().logs;
  expect(linesOf(lines, task).map((line) => line["@message"])).toEqual(
    expect.arrayContaining(["container recovered", "container ended"]),
  );
  expectNames(lines, task);
});
