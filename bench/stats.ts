/**
 * The cost of reporting the statistics of many tasks every second, in percent of one CPU, compared with reporting none in the same
 * run. Runs inside a test host, see run.ts.
 */

import { readFile } from "node:fs/promises";
import { DriverClient } from "../test/support/driver-client";
import { startPlugin } from "../test/support/plugin-process";
import { type PreparedTask, prepareTask } from "../test/support/task";
import { busyboxImage } from "../tools/images/images";

const count = 100;
const intervalMs = 1000;
const measureMs = 20_000;
/** sysconf(_SC_CLK_TCK) of Linux on x86-64. */
const ticksPerSecond = 100;

/** CPU time of a process so far, milliseconds (proc_pid_stat(5)). */
async function cpuTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** Percent of one CPU that a process uses during the measurement. */
async function load(pid: number): Promise<number> {
  const before = await cpuTime(pid);
  await Bun.sleep(measureMs);
  return ((await cpuTime(pid)) - before) / (measureMs / 100);
}

await using plugin = await startPlugin();
using client = new DriverClient(plugin.socket);
/** In the test host, which is removed with it. */
await client.setConfig({ image_store: "/var/tmp/bench-store" });
const image = await busyboxImage();
const config = { image, boot: false, volatile: "overlay", network_veth: false, command: ["/bin/sleep", "100000"] };
const tasks: PreparedTask[] = [];
try {
  for (let index = 0; index < count; index += 1) {
    const task = await prepareTask({ config });
    tasks.push(task);
    await client.startTask(task.config);
  }
  await Bun.sleep(3000);
  const idle = await load(plugin.pid);
  const stop = new AbortController();
  let received = 0;
  const streams = tasks.map(async ({ id }) => {
    for await (const _ of client.taskStats(id, intervalMs, { signal: stop.signal })) received += 1;
  });
  await Bun.sleep(2000);
  received = 0;
  const busy = await load(plugin.pid);
  const perSecond = received / (measureMs / 1000);
  stop.abort();
  await Promise.allSettled(streams);
  console.log(`${count} tasks, statistics of all every ${intervalMs / 1000} s: ${busy.toFixed(1)} % of one CPU`);
  console.log(`the same tasks, statistics of none: ${idle.toFixed(1)} % of one CPU`);
  console.log(`statistics reported: ${perSecond.toFixed(0)} a second`);
} finally {
  for (const task of tasks) {
    await client.destroyTask(task.id, true);
    await task[Symbol.asyncDispose]();
  }
}
