/**
 * What the plugin's own work for a start costs, while it warms up: CPU time per start for the first forty tasks of a plugin, the
 * second forty, and so on; its memory; and how long it takes to print its handshake. Runs inside a test host, see run.ts.
 *
 * `bun bench/cpu.ts [TIMES [FORTIES]] [PLUGIN…]`: each PLUGIN is a list of an executable's path, which contains "/", and variables of the
 * runtime, NAME=VALUE, separated by commas; "-" is the built executable. They take turns TIMES times, each time as a new process, and
 * the last lines compare the medians with those of the first PLUGIN: CPU time depends on what else the machine does, ratios less.
 */

import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { type PluginOptions, startPlugin } from "../test/support/plugin-process";
import { prepareTask } from "../test/support/task";
import { busyboxImage } from "../tools/images/images";
import { median, ms } from "./statistics";

const TOGETHER = 40;
const FORTIES = 5;
const LINE_MS = 120_000;

/** Milliseconds of CPU time of a process and of its children that ended so far, and mebibytes of memory (proc_pid_stat(5)). */
async function usage(pid: number) {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const mebibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 1024;
  const time = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) * 10;
  return { cpu: time(11), children: time(13), now: mebibytes("VmRSS"), most: mebibytes("VmHWM") };
}

/** Starts forty tasks at once and destroys them; returns CPU time per start of the plugin and of its children, in milliseconds. */
async function forty(client: DriverClient, pid: number, image: string) {
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
  return { own: (after.cpu - before.cpu) / TOGETHER, children: (after.children - before.children) / TOGETHER };
}

function pluginOf(list: string): PluginOptions {
  const words = list.split(",").filter((word) => word !== "-");
  const pairs = words.filter((word) => !word.includes("/")).map((word) => word.split(/=(.*)/s).slice(0, 2));
  const binary = words.find((word) => word.includes("/"));
  return { env: Object.fromEntries(pairs), ...(binary === undefined ? {} : { binary: resolve(binary) }) };
}

/** One plugin process: CPU time in all, and of each forty per start; memory in mebibytes. */
async function run(options: PluginOptions, forties: number, image: string) {
  const begin = performance.now();
  await using plugin = await startPlugin(options);
  const handshake = performance.now() - begin;
  using client = new DriverClient(plugin.socket);
  await client.setConfig({});
  const idle = (await usage(plugin.pid)).cpu;
  const starts: { own: number; children: number }[] = [];
  for (let round = 0; round < forties; round += 1) starts.push(await forty(client, plugin.pid, image));
  return { handshake, idle, starts, ...(await usage(plugin.pid)) };
}

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const [times = 1, forties = FORTIES] = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const named = words.filter((word) => !/^\d+$/.test(word));
  const lists = named.length > 0 ? named : ["-", "-"];
  const image = await busyboxImage();
  const numbers = Array.from({ length: forties }, (_, index) => `${index + 1}.`);
  const titles = ["before the first", ...numbers, "children", "memory", "handshake", "CPU in all"];
  console.log(`| ms of CPU per start, by forties | ${titles.join(" | ")} |\n|${" --- |".repeat(titles.length + 1)}`);
  const results = lists.map((list) => ({ list, options: pluginOf(list), own: numbers.map((): number[] => []) }));
  for (let time = 0; time < times; time += 1) {
    for (const { list, options, own } of time % 2 === 0 ? results : results.toReversed()) {
      const { handshake, idle, starts, children, now, most, cpu } = await run(options, forties, image);
      for (const [index, start] of starts.entries()) own[index]?.push(start.own);
      const cells = [`${idle} ms`, ...starts.map((start) => start.own.toFixed(1)), `${(children / 1000).toFixed(2)} s`];
      const memory = `${now.toFixed(0)} MiB (at most ${most.toFixed(0)})`;
      console.log(`| ${[list, ...cells, memory, ms(handshake), `${(cpu / 1000).toFixed(2)} s`].join(" | ")} |`);
    }
  }
  const first = results[0]?.own.map(median) ?? [];
  for (const { list, own } of results) {
    const cells = own.map((values, index) => {
      const value = median(values);
      const ratio = (value / (first[index] ?? Number.NaN)).toFixed(2);
      return `${value.toFixed(1)} ms (${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}), ratio ${ratio}`;
    });
    console.log(`medians (ranges) of ${list}: ${cells.join("; ")}`);
  }
}

await main();
