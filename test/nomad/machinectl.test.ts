/** What an operator does to a booted task with machinectl, beside a running agent. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { becomesTrue } from "../../src/lib/deadline";
import { attempt, run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { lastExit, runJob, untilDead, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile } from "./job-file";

const PACE = { firstMs: 20, longestMs: 250, timeoutMs: 60_000 };

let nomad: Nomad;
let allocId: string;
let machine: string;
beforeAll(async () => {
  nomad = await startNomad();
  const config = { image: await debianImage(), network_veth: false, volatile: "overlay", notify_ready: true };
  const task = 'kill_timeout = "30s"\n resources {\n memory = 512\n }';
  ({ allocId } = await runJob(nomad.api, jobFile({ id: "machinectl", type: "service", config, task })));
  await untilRunning(nomad.api, allocId, "main", 60_000);
  machine = `main-${allocId}`;
}, 180_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

/** Runs a command with a terminal, as an operator does, until it has printed something. */
async function inTerminal(command: string, until: string): Promise<string> {
  const argv = ["script", "--quiet", "--return", "--command", command, "/dev/null"];
  const env = { ...process.env, TERM: "xterm" };
  const child = Bun.spawn(argv, { stdin: "pipe", stdout: "pipe", stderr: "ignore", env });
  let text = "";
  for await (const chunk of child.stdout) {
    text += new TextDecoder().decode(chunk);
    if (text.includes(until)) break;
  }
  child.kill("SIGKILL");
  await child.exited;
  return text;
}

const leader = async () => (await run(["machinectl", "show", "--value", "--property=Leader", machine])).stdout.trim();

test("list and status show the task, its unit and its system", async () => {
  expect((await run(["machinectl", "list", "--no-legend"])).stdout).toContain(`${machine} container systemd-nspawn`);
  const { stdout } = await run(["machinectl", "status", "--no-pager", "--full", machine]);
  expect(stdout).toContain(`Unit: nomad-nspawn-${machine}.service`);
  expect(stdout).toMatch(/OS: Debian GNU\/Linux/);
});

test("shell runs a command in it, and login asks for a name", async () => {
  const command = `machinectl --quiet shell ${machine} /bin/sh -c 'cat /proc/1/comm; tty'`;
  expect(await inTerminal(command, "/dev/pts/")).toMatch(/systemd\s+\/dev\/pts\//);
  expect(await inTerminal(`machinectl login ${machine}`, "login:")).toContain("login:");
}, 60_000);

test("the journal of its system is read by journalctl -M", async () => {
  const found = async () =>
    (await attempt(["journalctl", "--machine", machine, "--no-pager", "--output=cat"])).stdout.includes(
      "Reached target",
    );
  expect(await becomesTrue(found, PACE)).toBe(true);
}, 90_000);

test("reboot starts it again, and it stays the same task", async () => {
  const before = await leader();
  await run(["machinectl", "reboot", machine]);
  const rebooted = async () => {
    const now = (await attempt(["machinectl", "show", "--value", "--property=Leader", machine])).stdout.trim();
    return now !== "" && now !== before;
  };
  expect(await becomesTrue(rebooted, PACE)).toBe(true);
  expect((await untilRunning(nomad.api, allocId, "main")).Restarts).toBe(0);
  const up = async () =>
    (await attempt(["systemctl", "--machine", machine, "is-system-running"])).stdout.trim() === "running";
  expect(await becomesTrue(up, PACE)).toBe(true);
}, 120_000);

test("poweroff ends the task with exit code 0", async () => {
  await run(["machinectl", "poweroff", machine]);
  expect(lastExit(await untilDead(nomad.api, allocId, "main", 60_000))).toMatchObject({ ExitCode: 0, Signal: 0 });
}, 90_000);
