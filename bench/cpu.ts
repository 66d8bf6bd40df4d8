/**
 * What the plugin's own work for a start costs, while it warms up: CPU time per start for the first forty tasks of a plugin, the
 * second forty, and so on; its memory; and how long it takes to print its handshake. Runs inside a test host, see run.ts.
 *
 * Variables of the runtime can be compared: each argument is a list `NAME=VALUE,NAME=VALUE` for one plugin, "-" for none.
 */

import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { startPlugin } from "../test/support/plugin-process";
import { prepareTask } from "../test/support/task";
import { busyboxImage } from "../tools/images/images";
import { median, ms } from "./statistics";

const TOGETHER = 40;
const ROUNDS = 5;
const HANDSHAKES = 9;
const LINE_MS = 120_000;

/** Milliseconds of CPU time of a process so far, and mebibytes of memory now and at most (proc_pid_stat(5), proc_pid_status(5)). */
async function usage(pid: number) {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const mebibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 1024;
  return { cpu: (Number(fields[11]) + Number(fields[12])) * 10, now: mebibytes("VmRSS"), most: mebibytes("VmHWM") };
}

async function handshake(env: Readonly<Record<string, string>>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < HANDSHAKES; round += 1) {
    const start = performance.now();
    await using _plugin = await startPlugin({ env });
    times.push(performance.now() - start);
  }
  return median(times);
}

/** Starts forty tasks at once and destroys them; returns the plugin's CPU time per start, in milliseconds. */
async function forty(client: DriverClient, pid: number, image: string): Promise<number> {
  await using directory = await mkdtempDisposable(join(tmpdir(), "cpu-"));
  const command = ["/bin/sh", "-c", "echo up; exec sleep 1000"];
  const config = { image, boot: false, network_veth: false, volatile: "overlay", command };
  const spec = { config, allocRoot: directory.path };
  const tasks = await Promise.all(Array.from({ length: TOGETHER }, () => prepareTask(spec)));
  const before = await usage(pid);
  await Promise.all(
    tasks.map(async (task) => {
      await client.startTask(task.config);
      await task.stdout.waitFor("up\n", LINE_MS);
    }),
  );
  const after = await usage(pid);
  await Promise.all(tasks.map(({ id }) => client.destroyTask(id, true)));
  for (const task of tasks) await task[Symbol.asyncDispose]();
  return (after.cpu - before.cpu) / TOGETHER;
}

function variables(list: string): Record<string, string> {
  if (list === "-") return {};
  return Object.fromEntries(
    list.split(",").map((pair) => [pair.split("=")[0] ?? "", pair.slice(pair.indexOf("=") + 1)]),
  );
}

async function row(list: string, image: string): Promise<string> {
  const env = variables(list);
  const first = await handshake(env);
  await using plugin = await startPlugin({ env });
  using client = new DriverClient(plugin.socket);
  await client.setConfig({});
  const perStart: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) perStart.push((await forty(client, plugin.pid, image)).toFixed(1));
  const { now, most, cpu } = await usage(plugin.pid);
  const memory = `${now.toFixed(0)} MiB (at most ${most.toFixed(0)})`;
  return `| ${list} | ${perStart.join(" | ")} | ${memory} | ${ms(first)} | ${(cpu / 1000).toFixed(1)} s |`;
}

async function main(): Promise<void> {
  const image = await busyboxImage();
  const numbers = Array.from({ length: ROUNDS }, (_, index) => `${index + 1}.`);
  console.log(`| ms of CPU per start, by forties | ${numbers.join(" | ")} | memory | handshake | CPU in all |`);
  console.log(`|${" --- |".repeat(ROUNDS + 4)}`);
  const lists = process.argv.slice(2);
  for (const list of lists.length > 0 ? lists : ["-", "-"]) console.log(await row(list, image));
}

await main();
