import { afterAll, beforeAll, expect, test } from "bun:test";
import { attempt } from "../../tools/command";
import { busyboxImage, debianImage } from "../../tools/images/images";
import { nomadAgent } from "../../tools/setup/nomad";
import { runJob, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

let nomad: Nomad;
let program: string;
beforeAll(async () => {
  nomad = await startNomad();
  program = await nomadAgent();
}, 120_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

/** `nomad alloc exec`, as users run it. */
function exec(allocId: string, flags: readonly string[], command: readonly string[]): string[] {
  return [program, "alloc", "exec", `-address=${nomad.api.address}`, "-task=main", ...flags, allocId, ...command];
}

async function running(id: string, config: Readonly<Record<string, unknown>>): Promise<string> {
  const resources = "resources {\n memory = 512\n }";
  const { allocId } = await runJob(nomad.api, jobFile({ id, type: "service", config, task: resources }));
  await untilRunning(nomad.api, allocId, "main", 60_000);
  return allocId;
}

test("a command in a task, without a terminal", async () => {
  const allocId = await running("exec-plain", shell(await busyboxImage(), "while :; do sleep 1; done"));
  const plain = (command: readonly string[], stdin = "") =>
    attempt(exec(allocId, ["-i=true", "-t=false"], command), { stdin });
  expect(await plain(["sh", "-c", "echo out; echo err >&2; exit 9"])).toEqual({
    code: 9,
    stdout: "out\n",
    stderr: "err\n",
  });
  const text = "0123456789\n".repeat(20_000);
  expect(await plain(["cat"], text)).toEqual({ code: 0, stdout: text, stderr: "" });
  expect((await plain(["sh", "-c", "kill -9 $$"])).code).toBe(137);
  const missing = await plain(["no-such-program"]);
  expect(missing).toMatchObject({ code: 127, stderr: expect.stringContaining('"no-such-program" cannot be run') });
}, 120_000);

test("a shell with a terminal, in a booted container", async () => {
  const config = { image: await debianImage(), network_veth: false, volatile: "overlay" };
  const allocId = await running("exec-terminal", config);
  await nomad.api.logsUntil(allocId, "main", "Multi-User", "stdout", 60_000);
  // script(1) is the client's terminal, and returns the client's exit code.
  const command = exec(
    allocId,
    ["-i", "-t"],
    ["/bin/bash", "-c", "tty; stty size; systemctl is-system-running --wait; exit 4"],
  )
    .map((word) => `'${word}'`)
    .join(" ");
  const { code, stdout } = await attempt(["script", "--quiet", "--return", "--command", command, "/dev/null"], {
    env: { ...process.env, TERM: "xterm" },
  });
  expect(stdout).toMatch(/\/dev\/pts\/\d+/);
  expect(stdout).toMatch(/running|degraded/);
  expect(code).toBe(4);
}, 180_000);

/** Whether a process with exactly these arguments runs on this machine. */
async function runsAnywhere(argv: readonly string[]): Promise<boolean> {
  const { stdout } = await attempt(["pgrep", "--full", "--exact", argv.join(" ")]);
  return stdout.trim() !== "";
}

async function until(what: () => Promise<boolean>, milliseconds: number): Promise<boolean> {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    if (await what()) return true;
    await Bun.sleep(100);
  }
  return false;
}

test.each([
  ["without input or a terminal", ["-i=false", "-t=false"], ["sleep", "43211"]],
  ["with input", ["-i=true", "-t=false"], ["sleep", "43212"]],
  ["with its output closed", ["-i=false", "-t=false"], ["sh", "-c", "exec sleep 43213 >&- 2>&-"]],
])(
  "a silent command %s ends when its caller is killed",
  async (name, flags, command) => {
    const id = `exec-killed-${name.replaceAll(" ", "-")}`;
    const allocId = await running(id, shell(await busyboxImage(), "while :; do sleep 1; done"));
    const caller = Bun.spawn(exec(allocId, flags, command), {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
      env: process.env,
    });
    const silent = ["sleep", /\d{5}/.exec(command.join(" "))?.[0] ?? ""];
    expect(await until(() => runsAnywhere(silent), 20_000)).toBe(true);
    caller.kill("SIGKILL");
    await caller.exited;
    expect(await until(async () => !(await runsAnywhere(silent)), 30_000)).toBe(true);
  },
  120_000,
);
