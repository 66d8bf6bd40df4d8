/** The command line's `run`: the built executable as both ends of the plugin protocol. */

import { beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { driverBinary } from "../../tools/build/project";
import { busyboxImage } from "../../tools/images/images";
import { hostState } from "../../tools/leftovers";
import { removeDefaultStore } from "../support/default-store";

removeDefaultStore();

let image = "";
beforeAll(async () => {
  image = await busyboxImage();
});

/** Starts `run` with a shell script below systemd-nspawn's init, in a process group of its own. */
function start(script: string, ...options: string[]) {
  const child = Bun.spawn(
    [
      driverBinary(),
      ...["run", image, "--set", "volatile=overlay", "--set", "process_two=true", ...options],
      ...["--", "/bin/sh", "-c", script],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe", detached: true, env: { PATH: process.env["PATH"] } },
  );
  return { child, reader: child.stdout.getReader() };
}

type Run = ReturnType<typeof start>;

/** Reads until the container said `part`. */
async function said(run: Run, part: string): Promise<string> {
  let text = "";
  while (!text.includes(part)) {
    const { done, value } = await run.reader.read();
    if (done) throw new Error(`It ended without saying ${part}, but: ${text}${await run.child.stderr.text()}`);
    text += new TextDecoder().decode(value);
  }
  return text;
}

/** Reads the rest and gives how it ended. */
async function finish(run: Run): Promise<{ code: number; stdout: string; stderr: string }> {
  const stderr = run.child.stderr.text();
  let stdout = "";
  for (;;) {
    const { done, value } = await run.reader.read();
    if (done) break;
    stdout += new TextDecoder().decode(value);
  }
  return { code: await run.child.exited, stdout, stderr: await stderr };
}

test("output on the right streams, variables, and the exit code", async () => {
  const run = start('echo "$A $NOMAD_TASK_DIR"; echo complaint >&2; exit 7', "--env", "A=b");
  expect(await finish(run)).toEqual({ code: 7, stdout: "b /local\n", stderr: "complaint\n" });
});

test("more output than a pipe holds arrives whole", async () => {
  const { stdout } = await finish(start("yes 0123456789abcde | head -n 300000"));
  expect(stdout.length).toBe(300_000 * 16);
});

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("%s is the task's to act on", async (signal, code) => {
  const run = start("echo up; exec sleep 1000");
  await said(run, "up");
  run.child.kill(signal);
  expect((await finish(run)).code).toBe(code);
});

test("a signal to the whole process group, as timeout(1) and a terminal send it", async () => {
  const run = start("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done");
  await said(run, "up");
  process.kill(-run.child.pid, "SIGTERM");
  expect(await finish(run)).toMatchObject({ code: 3, stdout: "bye\n" });
});

test("a second signal kills", async () => {
  const run = start("trap 'echo no' TERM; echo up; while :; do sleep 0.1; done", "--stop-timeout", "1h");
  await said(run, "up");
  run.child.kill("SIGTERM");
  await said(run, "no");
  run.child.kill("SIGTERM");
  expect((await finish(run)).code).toBe(137);
});

test("a reader that exits stops the task", async () => {
  const run = start("while :; do echo line; sleep 0.1; done");
  await said(run, "line");
  await run.reader.cancel();
  expect(await run.child.exited).toBeGreaterThan(0);
});

test.each([
  ["that runs", []],
  // The plugin has not answered the start yet: it waits for a report that does not come.
  ["whose start is in progress", ["--set", "notify_ready=true", "--set", "process_two=false"]],
])("a task %s ends with its plugin", async (_, options) => {
  const run = start("hostname; echo up; exec sleep 1000", ...options);
  const [machine = ""] = (await said(run, "up")).split("\n");
  const traces = async () =>
    [...(await hostState()).values()].flatMap((found) => [...found]).filter((trace) => trace.includes(machine));
  expect(await traces()).not.toEqual([]);
  const children = await readFile(`/proc/${run.child.pid}/task/${run.child.pid}/children`, "utf8");
  process.kill(Number(children.trim().split(" ")[0]), "SIGKILL");
  const { code, stderr } = await finish(run);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("was killed by SIGKILL") });
  expect(await traces()).toEqual([]);
});

test("a task that cannot start is reported with the driver's error", async () => {
  const { code, stdout, stderr } = await finish(start("true", "--set", "console=loud"));
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr.split('Option console = "loud" is not valid')).toHaveLength(2);
});
