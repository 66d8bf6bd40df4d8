import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { debianImage } from "../../tools/images/images";
import { timeoutScale } from "../../tools/timeout-scale";
import { startExec } from "../support/exec";
import { megabytes, type PreparedTask, type TaskSpec } from "../support/task";
import { type Fixture, useFixture } from "./fixture";
import { sentence } from "./inside";

/** The journal of a booted system in the task's log. */

let bench: Fixture;
useFixture((made) => {
  bench = made;
});

const PATIENCE_MS = 60_000 * timeoutScale;

async function system(more: Readonly<Record<string, unknown>> = {}): Promise<TaskSpec> {
  const config = { image: await debianImage(), network_veth: false, volatile: "overlay", ...more };
  return { config, resources: megabytes(512) };
}

async function booted(more: Readonly<Record<string, unknown>> = {}) {
  const task = await bench.started(await system(more));
  await task.stdout.waitFor("Multi-User", PATIENCE_MS);
  return task;
}

/** Runs a command in the task; its journal entries have the identifier `who`. */
async function log(task: PreparedTask, who: string, script: string): Promise<void> {
  const command = ["systemd-cat", `--identifier=${who}`, "sh", "-c", script];
  const { ended } = await startExec(bench.client(), task.id, command);
  expect(await ended).toMatchObject({ code: 0 });
}

async function unit(task: PreparedTask, name: string, script: string): Promise<void> {
  const command = ["systemd-run", "--quiet", `--unit=${name}`, "sh", "-c", script];
  const { ended } = await startExec(bench.client(), task.id, command);
  expect(await ended).toMatchObject({ code: 0, stderr: "" });
}

const linesWith = (text: string, part: string) => text.split(/\r?\n/).filter((line) => line.includes(part));

test("messages of services are in the log, with their unit and in order, and boot messages only once", async () => {
  const task = await booted();
  await unit(task, "speaker", "seq -f 'line %g' 1 500; echo wrong >&2; exit 3");
  const text = await task.stdout.waitFor("speaker.service: Failed with result 'exit-code'.", PATIENCE_MS);
  const expected = Array.from({ length: 500 }, (_, index) => `speaker.service: line ${index + 1}`);
  expect(linesWith(text, "speaker.service: line")).toEqual(expected);
  expect(linesWith(text, "speaker.service: wrong")).toHaveLength(1);
  expect(linesWith(text, "speaker.service: Main process exited")).toHaveLength(1);
  expect(linesWith(text, "Multi-User System").filter((line) => line.startsWith("systemd: "))).toEqual([]);
  expect(task.stderr.text()).toBe("");
}, 150_000);

test("a plugin that is killed loses no line, and none is repeated", async () => {
  const task = await bench.task(await system());
  const handle = await bench.start(task);
  await task.stdout.waitFor("Multi-User", PATIENCE_MS);
  await log(task, "before", "seq -f 'number %g' 1 100");
  await task.stdout.waitFor(": number 100", PATIENCE_MS);
  await unit(task, "meanwhile", "while ! test -e /local/go; do sleep 0.1; done; seq -f 'number %g' 101 200");
  // The unit writes while no plugin runs.
  await bench.replacePlugin(() => writeFile(join(task.dirs.local, "go"), ""));
  await bench.client().recoverTask(handle);
  const text = await task.stdout.waitFor(": number 200", PATIENCE_MS);
  const numbers = linesWith(text, ": number").map((line) => Number(/\d+$/.exec(line)?.[0]));
  expect(numbers).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
}, 200_000);

test("the log has the last messages before the shutdown", async () => {
  const task = await booted();
  await unit(task, "last", "trap 'echo the end; exit 0' TERM; echo ready; while :; do sleep 0.2; done");
  await task.stdout.waitFor("last.service: ready", PATIENCE_MS);
  await bench.client().stopTask(task.id, { timeout: PATIENCE_MS });
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
  expect(task.stdout.text()).toContain("last.service: the end");
}, 150_000);

test("with stderr, the journal is separate from the console; with off, it is not in the log", async () => {
  const separate = await booted({ journal: "stderr" });
  await log(separate, "who", "echo to the journal");
  await separate.stderr.waitFor(": to the journal", PATIENCE_MS);
  expect(separate.stdout.text()).not.toContain("to the journal");
  await bench.client().destroyTask(separate.id, true);
  const off = await booted({ journal: "off" });
  await log(off, "who", "echo to the journal");
  await bench.client().stopTask(off.id, { timeout: PATIENCE_MS });
  await bench.client().waitTask(off.id);
  expect(off.stdout.text() + off.stderr.text()).not.toContain("to the journal");
}, 200_000);

test("the log goes on after a reboot of the container", async () => {
  const task = await booted();
  await log(task, "who", "echo first boot");
  await task.stdout.waitFor(": first boot", PATIENCE_MS);
  const seen = task.stdout.text().length;
  await bench.client().signalTask(task.id, "SIGRTMIN+5");
  await task.stdout.waitFor(/Reached target[^\n]*Multi-User/, PATIENCE_MS, seen);
  await log(task, "who", "echo second boot");
  await task.stdout.waitFor(": second boot", PATIENCE_MS);
}, 200_000);

test("a single command has no journal", async () => {
  const config = { image: bench.busybox, boot: false, journal: "stderr", command: ["/bin/true"] };
  expect(await sentence(bench.started({ config }))).toContain('Option journal = "stderr" needs boot = true');
});
