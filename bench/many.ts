/**
 * Many tasks at once: forty, against as many bare systemd-nspawn without user namespaces, and a hundred of one image on one client.
 * Runs inside a test host, see run.ts.
 */

import { readFile } from "node:fs/promises";
import { DriverClient } from "../test/support/driver-client";
import { startPlugin } from "../test/support/plugin-process";
import { type PreparedTask, prepareTask } from "../test/support/task";
import { run } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { ms } from "./statistics";

const command = ["/bin/sh", "-c", "echo up; exec sleep 1000"];

/** Kilobytes of memory and milliseconds of CPU time of a process (proc_pid_status(5), proc_pid_stat(5)). */
async function usage(pid: number) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  return { rss: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]), cpu: (Number(fields[11]) + Number(fields[12])) * 10 };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Starts containers with systemd-nspawn alone, as transient units, and waits for each one's first line. */
async function bareStarts(tree: string, count: number): Promise<number> {
  const options = ["--quiet", "--keep-unit", "--volatile=overlay", "--console=pipe", "--settings=no"];
  const units = Array.from({ length: count }, (_, index) => `bare-${count}-${Math.round(performance.now())}-${index}`);
  const children = units.map((unit) => ({
    unit,
    argv: [
      ...[
        "systemd-run",
        "--quiet",
        "--pipe",
        "--collect",
        `--unit=${unit}`,
        "--property=Delegate=yes",
        "systemd-nspawn",
      ],
      ...[...options, `--directory=${tree}`, `--machine=${unit}`, ...command],
    ],
  }));
  const running: Bun.Subprocess<"ignore", "pipe", "inherit">[] = [];
  const time = await timed(() =>
    Promise.all(
      children.map(async ({ argv }) => {
        const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe" });
        running.push(child);
        const reader = child.stdout.getReader();
        await reader.read();
        reader.releaseLock();
      }),
    ),
  );
  await run(["systemctl", "stop", ...units.map((unit) => `${unit}.service`)]);
  await Promise.all(running.map((child) => child.exited));
  return time;
}

async function startAll(client: DriverClient, tasks: readonly PreparedTask[]): Promise<number> {
  return timed(() =>
    Promise.all(
      tasks.map(async ({ config, stdout }) => {
        await client.startTask(config);
        await stdout.waitFor("up\n", 300_000);
      }),
    ),
  );
}

async function main(): Promise<void> {
  const tree = await busyboxImage();
  await using plugin = await startPlugin();
  using client = new DriverClient(plugin.socket);
  await client.setConfig({});
  const prepared = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () =>
        prepareTask({ config: { image: tree, boot: false, network_veth: false, volatile: "overlay", command } }),
      ),
    );
  console.log(
    "| tasks at once | until the last one's first line | bare systemd-nspawn | ratio | plugin's CPU time per start | its memory | destroyed in |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const [count, bare] of [
    [40, true],
    [40, true],
    [100, false],
  ] as const) {
    const peer = bare ? await bareStarts(tree, count) : undefined;
    const tasks = await prepared(count);
    const before = await usage(plugin.pid);
    const time = await startAll(client, tasks);
    const after = await usage(plugin.pid);
    const stopped = await timed(() => Promise.all(tasks.map(({ id }) => client.destroyTask(id, true))));
    for (const task of tasks) await task[Symbol.asyncDispose]();
    const ratio = peer === undefined ? ["", ""] : [ms(peer), (time / peer).toFixed(2)];
    const cpu = ms((after.cpu - before.cpu) / count);
    console.log(
      `| ${count} | ${ms(time)} | ${ratio.join(" | ")} | ${cpu} | ${(after.rss / 1024).toFixed(0)} MiB | ${ms(stopped)} |`,
    );
  }
}

await main();
