import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoCode, isMissing } from "../../src/lib/errors";
import { attempt, run } from "../../tools/command";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { startExec } from "../support/exec";
import type { PreparedTask } from "../support/task";
import { type Fixture, openFixture, shell } from "./fixture";
import { runTask } from "./host-paths";
import { sentence, underSystemd } from "./inside";

/** Where a task's secrets must not appear: argument vectors, units, logs, world-readable files. */

let before: HostState;
let bench: Fixture;
beforeAll(async () => {
  before = await hostState();
  bench = await openFixture({ allow_properties: ["IOWeight"] });
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  expect(await leftovers(before)).toEqual([]);
}, 60_000);

/** A word that appears nowhere else on this machine. */
const secretWord = () => `s3cret-${crypto.randomUUID()}`;

/** A file of each process, by PID; security modules may forbid even root to read that of some processes. */
async function ofProcesses(file: string): Promise<[pid: string, content: string][]> {
  const found: [string, string][] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const content = await readFile(`/proc/${pid}/${file}`, "utf8").catch((error: unknown) => {
      if (isMissing(error) || errnoCode(error) === "EACCES") return undefined;
      throw error;
    });
    if (content !== undefined) found.push([pid, content]);
  }
  return found;
}

/** Everything that systemd shows about its units, and the journal; empty without systemd. */
async function shownBySystemd(): Promise<string> {
  if (!underSystemd) return "";
  const { stdout: units } = await run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full"]);
  const names = units.split("\n").flatMap((line) => line.trim().split(/\s+/)[0] || []);
  const shown = await run(["systemctl", "show", "--all", "--", ...names]);
  expect(shown.stdout).toContain("nomad-nspawn-");
  const files = await run(["systemctl", "cat", "nomad-nspawn-*"]);
  const journal = await run(["journalctl", "--no-pager", "--output=export", "--all"]);
  return [shown.stdout, files.stdout, journal.stdout].join("\n");
}

/** Searches all these places while the task runs. */
async function expectHidden(secrets: readonly string[]): Promise<void> {
  const commandLines = (await ofProcesses("cmdline")).map(([, text]) => text).join("\n");
  expect(commandLines).toContain("systemd-nspawn");
  const places = [commandLines, await shownBySystemd(), JSON.stringify(bench.plugin().logs), bench.plugin().stdout()];
  for (const secret of secrets) for (const place of places) expect(place).not.toContain(secret);
}

async function up(more: Readonly<Record<string, unknown>> = {}, spec: object = {}): Promise<PreparedTask> {
  const task = await bench.started({ ...shell(bench.busybox, "echo up; while :; do sleep 1; done", more), ...spec });
  await task.stdout.waitFor("up");
  return task;
}

describe("a task's credentials", () => {
  test("are in the container, and in no argument vector, unit or log", async () => {
    const [text, content] = [secretWord(), secretWord()];
    const task = await bench.task({
      ...shell(bench.busybox, 'cat "$CREDENTIALS_DIRECTORY/a.text" "$CREDENTIALS_DIRECTORY/b"; echo up; sleep 1000', {
        credentials: { "a.text": `${text}\n` },
        credential_files: { b: "secrets/word" },
      }),
    });
    await writeFile(join(task.dirs.secrets, "word"), `${content}\n`);
    await bench.start(task);
    await task.stdout.waitFor("up");
    expect(task.stdout.text()).toBe(`${text}\n${content}\nup\n`);
    await expectHidden([text, content]);
  });

  test("are refused without their value", async () => {
    const secret = secretWord();
    const refused = await sentence(bench.started(shell(bench.busybox, "true", { credentials: { "a:b": secret } })));
    expect(refused).toContain("credentials");
    expect(refused).not.toContain(secret);
    expect(
      await sentence(bench.started(shell(bench.busybox, "true", { credential_files: { a: "secrets/none" } }))),
    ).toContain('Option credential_files.a = "secrets/none" cannot be read');
  });
});

describe("a task's variables", () => {
  test.each([
    ["of one line", ""],
    ["of several lines", "\nmore\r\n"],
  ])("%s are visible to the task only", async (_name, end) => {
    const [config, nomad, device] = [secretWord(), secretWord(), secretWord()];
    const task = await up(
      { environment: { A: config + end }, ...(underSystemd ? { properties: { IOWeight: "50" } } : {}) },
      { env: { B: nomad + end }, deviceEnv: { C: device + end } },
    );
    await expectHidden([config, nomad, device]);
    const { ended } = await startExec(bench.client(), task.id, ["/bin/sh", "-c", "echo $A $B $C"]);
    const { stdout } = await ended;
    for (const secret of [config, nomad, device]) expect(stdout).toContain(secret);
  });

  test("are in files that only root can read while it runs, and in no file afterwards", async () => {
    const secret = secretWord();
    const task = await up({ environment: { A: secret, B: "two\nlines" } });
    const directories = ["/run/systemd", "/run/nomad-driver-nspawn", "/etc/systemd", "/var/lib/systemd"];
    const holders = async () => {
      const { stdout } = await attempt([
        "grep",
        "--recursive",
        "--files-with-matches",
        "--fixed-strings",
        "--devices=skip",
        secret,
        ...directories,
      ]);
      return stdout.split("\n").filter((path) => path !== "");
    };
    const found = await holders();
    expect(found.length).toBeGreaterThan(0);
    for (const path of found) {
      expect((await stat(path)).mode & 0o066).toBe(0);
      const reader = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path];
      expect(await attempt(reader)).toMatchObject({ code: 1, stdout: "" });
    }
    await bench.client().destroyTask(task.id, true);
    expect(await holders()).toEqual([]);
  });

  test("with names that would change systemd-nspawn are no exception", async () => {
    const [open, hidden] = [secretWord(), secretWord()];
    await up({ environment: { LD_LIBRARY_PATH: open, KEY: hidden } });
    await expectHidden([open, hidden]);
    await up({ environment: { LD_LIBRARY_PATH: open, KEY: hidden, M: "two\nlines" } });
    await expectHidden([open, hidden]);
  });

  test("do not appear in the error of a failed start", async () => {
    const secret = secretWord();
    for (const more of [
      { environment: { A: secret, "not=a-name": secret } },
      { environment: { A: `${secret}\0` } },
      { environment: { A: secret }, command: ["/no/such/program"] },
      { environment: { A: secret }, hostname: "not a name" },
    ]) {
      const task = await bench.task(shell(bench.busybox, "true", more));
      const said = await sentence(bench.start(task));
      const { err } = said === "" ? await bench.client().waitTask(task.id) : { err: said };
      expect(err).not.toContain(secret);
    }
    expect(JSON.stringify(bench.plugin().logs)).not.toContain(secret);
    expect(await shownBySystemdOrNothing()).not.toContain(secret);
  });
});

async function shownBySystemdOrNothing(): Promise<string> {
  return underSystemd ? (await run(["journalctl", "--no-pager", "--output=export", "--all"])).stdout : "";
}

test("the process that enters a task for a command shows nothing of the command", async () => {
  const [variable, argument] = [secretWord(), secretWord()];
  const task = await up({ environment: { A: variable } });
  const running = await startExec(bench.client(), task.id, ["/bin/sh", "-c", "echo ready; read line", argument]);
  await running.stdout.waitFor("ready");
  const entering = (await ofProcesses("cmdline")).filter(([, text]) => text.startsWith("nomad-nspawn-exec"));
  expect(entering).toHaveLength(1);
  const [[pid, commandLine] = ["", ""]] = entering;
  expect(commandLine).toBe("nomad-nspawn-exec\0");
  expect(await readFile(`/proc/${pid}/environ`, "utf8")).toBe("");
  await expectHidden([variable]);
  // The command itself has its arguments; they do not appear in the driver's log.
  expect(JSON.stringify(bench.plugin().logs)).not.toContain(argument);
  expect((await ofProcesses("environ")).filter(([, text]) => text.includes(variable)).length).toBeGreaterThan(0);
  await running.endInput();
  await running.ended;
});

test("the content of a task's secrets directory appears nowhere, whether the task starts or not", async () => {
  const secret = secretWord();
  const fill = (task: PreparedTask) => writeFile(join(task.dirs.secrets, "template"), secret, { mode: 0o600 });
  const { code } = await runTask(bench, shell(bench.busybox, "test -s /secrets/template"), fill);
  expect(code).toBe(0);
  await runTask(bench, shell(bench.busybox, "", { command: ["/secrets/template"] }), fill);
  const task = await bench.task(shell(bench.busybox, "true", { bind: { "secrets/template": "relative" } }));
  await fill(task);
  expect(await sentence(bench.start(task))).toContain("bind");
  expect(JSON.stringify(bench.plugin().logs)).not.toContain(secret);
  expect(await shownBySystemdOrNothing()).not.toContain(secret);
});

test("a registry's password appears in no error and no log line", async () => {
  const secret = secretWord();
  for (const auth of [
    { username: "u", password: secret },
    { username: secret, password: secret },
    { password: secret },
    { username: "u", password: [secret] },
    { username: "u", pasword: secret },
    [{ username: "u", password: secret }, { password: secret }],
    secret,
  ]) {
    const said = await sentence(bench.start(await bench.task(shell("oci:/nowhere:1", "true", { auth }))));
    expect(said).toMatch(/auth|nowhere/);
    expect(said).not.toContain(secret);
  }
  expect(JSON.stringify(bench.plugin().logs)).not.toContain(secret);
});
