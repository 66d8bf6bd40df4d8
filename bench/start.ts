/**
 * How long a container takes to start through the driver, against the bare `systemd-run … systemd-nspawn` with the same
 * arguments on the same directory: from the call until the payload's first output arrives. Runs inside a test host, see run.ts.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { makeLogPipe } from "../test/support/log-pipe";
import { startPlugin } from "../test/support/plugin-process";
import { type PreparedTask, prepareTask } from "../test/support/task";
import { attempt, run } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { median, ms } from "./statistics";

const rounds = 20;
const together = 10;
const togetherRounds = 5;
const upLine = "up\n";

const image = await busyboxImage();
/** In the test host, which is removed with it. */
const store = "/var/tmp/bench-store";
const config = {
  image,
  boot: false,
  volatile: "overlay",
  network_veth: false,
  command: ["/bin/sh", "-c", "echo up; exec sleep 1000"],
};

/** Calls `work` for this many containers at once and returns the milliseconds until the last of them was up. */
async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function throughDriver(client: DriverClient, count: number): Promise<number> {
  const tasks: PreparedTask[] = [];
  try {
    for (let index = 0; index < count; index += 1) tasks.push(await prepareTask({ config }));
    return await timed(async () => {
      await Promise.all(
        tasks.map(async (task) => {
          await client.startTask(task.config);
          await task.stdout.waitFor(upLine);
        }),
      );
    });
  } finally {
    for (const task of tasks) {
      await client.destroyTask(task.id, true);
      await task[Symbol.asyncDispose]();
    }
  }
}

/**
 * The argv of systemd-nspawn that the driver builds for a task, with the directory that the task names instead of the root that the driver
 * makes on it; its directories must exist as long as it is used.
 */
async function argvOf(client: DriverClient, task: PreparedTask): Promise<readonly string[]> {
  await client.startTask(task.config);
  await task.stdout.waitFor(upLine);
  const { driver } = await client.inspectTask(task.id);
  const argv = (await readFile(`/proc/${driver?.attributes["pid"]}/cmdline`, "utf8")).split("\0").slice(0, -1);
  await client.destroyTask(task.id, true);
  return argv.flatMap((argument) => {
    if (argument.startsWith("--directory=")) return [`--directory=${image}`, `--volatile=${config.volatile}`];
    if (argument.startsWith("--volatile=")) return [];
    return [argument.startsWith("--private-users-ownership=") ? "--private-users-ownership=auto" : argument];
  });
}

async function throughSystemdRun(argv: readonly string[], count: number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), "bench-"));
  const machines = Array.from({ length: count }, () => `bench-${crypto.randomUUID()}`);
  const pipes = await Promise.all(machines.map((machine) => makeLogPipe(join(directory, machine))));
  try {
    return await timed(async () => {
      await Promise.all(
        pipes.map(async (pipe, index) => {
          const machine = machines[index] ?? "";
          const command = argv.map((argument) =>
            argument.startsWith("--machine=") ? `--machine=${machine}` : argument,
          );
          await run([
            ...["systemd-run", "--quiet", `--unit=${machine}`, "--slice=machine.slice", "--service-type=exec"],
            ...["--property=KillMode=mixed", "--property=Delegate=yes", `--property=StandardOutput=file:${pipe.path}`],
            "--",
            ...command,
          ]);
          await pipe.waitFor(upLine);
        }),
      );
    });
  } finally {
    for (const machine of machines) await attempt(["systemctl", "kill", "--signal=KILL", "--kill-whom=all", machine]);
    for (const machine of machines) await attempt(["systemctl", "stop", machine]);
    for (const machine of machines) await attempt(["systemctl", "reset-failed", machine]);
    for (const pipe of pipes) await pipe.stop();
    for (const machine of machines) {
      await attempt(["umount", "--lazy", `/run/systemd/nspawn/unix-export/${machine}`]);
      for (const name of ["unix-export", "propagate"]) {
        await rm(join("/run/systemd/nspawn", name, machine), { recursive: true, force: true });
      }
    }
    await rm(directory, { recursive: true, force: true });
  }
}

/** Processes of our binary beyond the plugin itself, while containers run. */
async function extraProcesses(client: DriverClient, pluginPid: number): Promise<number> {
  const task = await prepareTask({ config });
  try {
    await client.startTask(task.config);
    await task.stdout.waitFor(upLine);
    const own = (await readFile(`/proc/${pluginPid}/cmdline`, "utf8")).split("\0")[0] ?? "";
    const { stdout } = await attempt(["pgrep", "--full", "--count", own]);
    return Number(stdout.trim()) - 1;
  } finally {
    await client.destroyTask(task.id, true);
    await task[Symbol.asyncDispose]();
  }
}

interface Series {
  readonly driver: number[];
  readonly peer: number[];
}

function emptySeries(): Series {
  return { driver: [], peer: [] };
}

async function handshakes(): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    const plugin = await startPlugin();
    times.push(performance.now() - start);
    await plugin[Symbol.asyncDispose]();
  }
  return times;
}

async function main(): Promise<void> {
  await using plugin = await startPlugin();
  using client = new DriverClient(plugin.socket);
  await client.setConfig({ image_store: store });
  // The first start loads pages that both then find in memory, and provides the arguments.
  await using reference = await prepareTask({ config });
  const argv = await argvOf(client, reference);
  await throughSystemdRun(argv, 1);

  const one = emptySeries();
  for (let round = 0; round < rounds; round += 1) {
    one.driver.push(await throughDriver(client, 1));
    one.peer.push(await throughSystemdRun(argv, 1));
  }
  const ten = emptySeries();
  for (let round = 0; round < togetherRounds; round += 1) {
    ten.driver.push(await throughDriver(client, together));
    ten.peer.push(await throughSystemdRun(argv, together));
  }
  const row = (name: string, driver: readonly number[], peer: readonly number[]) =>
    `| ${name} | ${ms(median(driver))} | ${ms(median(peer))} | ${(median(driver) / median(peer)).toFixed(2)} |`;
  console.log("| start to first output, median | driver | systemd-run | ratio |");
  console.log("| --- | --- | --- | --- |");
  console.log(row(`one container, ${rounds} times`, one.driver, one.peer));
  console.log(row(`${together} at once, ${togetherRounds} times`, ten.driver, ten.peer));
  console.log(`\nhandshake: ${ms(median(await handshakes()))}, median of ${rounds}`);
  console.log(`processes per container beyond systemd-nspawn: ${await extraProcesses(client, plugin.pid)}`);
}

await main();
