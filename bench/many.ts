/**
 * Many tasks at once, against as many bare systemd-nspawn without user namespaces: forty (three times) and a hundred, or the numbers that
 * are given. Runs inside a test host, see run.ts.
 */

import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { startPlugin } from "../test/support/plugin-process";
import { type PreparedTask, prepareTask } from "../test/support/task";
import { run } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { hostState, leftovers } from "../tools/leftovers";
import { ms } from "./statistics";

/** How long one container may take to print its line; the machine may have other work. */
const LINE_MS = 1_200_000;
/** Each `systemd-run --pipe` keeps a connection to the bus, which allows 256 of a user. */
const MOST_BARE = 200;
/** Interval between calls that show whether the plugin still responds. */
const PING_MS = 100;

const command = ["/bin/sh", "-c", "echo up; exec sleep 1000"];

/** Kilobytes of memory, at most so far, and milliseconds of CPU time of a process (proc_pid_status(5), proc_pid_stat(5)). */
async function usage(pid: number) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  const most = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]);
  return { most, cpu: (Number(fields[11]) + Number(fields[12])) * 10 };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Milliseconds to start and to stop all containers. */
interface Times {
  readonly start: number;
  readonly stop: number;
}

/** Starts containers with systemd-nspawn alone, as transient units, waits for each one's first line, and stops them. */
async function bareTimes(tree: string, count: number): Promise<Times> {
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
  const running: Bun.Subprocess<"ignore", "pipe", "ignore">[] = [];
  const start = await timed(() =>
    Promise.all(
      children.map(async ({ argv }) => {
        const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
        running.push(child);
        const reader = child.stdout.getReader();
        await reader.read();
        reader.releaseLock();
      }),
    ),
  );
  const stop = await timed(() => run(["systemctl", "stop", ...units.map((unit) => `${unit}.service`)]));
  await Promise.all(running.map((child) => child.exited));
  return { start, stop };
}

async function startAll(client: DriverClient, tasks: readonly PreparedTask[]): Promise<number> {
  return timed(() =>
    Promise.all(
      tasks.map(async ({ config, stdout }) => {
        await client.startTask(config);
        await stdout.waitFor("up\n", LINE_MS);
      }),
    ),
  );
}

/** The longest that a call without work has taken, in milliseconds, until the returned function is called. */
function watchDelay(client: DriverClient): () => Promise<number> {
  let longest = 0;
  let ended = false;
  const pinging = (async () => {
    while (!ended) {
      longest = Math.max(longest, await timed(() => client.capabilities()));
      await Bun.sleep(PING_MS);
    }
  })();
  return async () => {
    ended = true;
    await pinging;
    return longest;
  };
}

function compared(own: number, bare: number | undefined): readonly [string, string] {
  return bare === undefined ? ["", ""] : [ms(bare), (own / bare).toFixed(2)];
}

/** One row of the table: a plugin of its own, so that its memory is that of these tasks. */
async function row(tree: string, count: number): Promise<string> {
  const bare = count > MOST_BARE ? undefined : await bareTimes(tree, count);
  const before = await hostState();
  const columns: string[] = [];
  {
    await using plugin = await startPlugin();
    using client = new DriverClient(plugin.socket);
    await client.setConfig({});
    const config = { image: tree, boot: false, network_veth: false, volatile: "overlay", command };
    await using directory = await mkdtempDisposable(join(tmpdir(), "many-"));
    const allocRoot = directory.path;
    const tasks = await Promise.all(Array.from({ length: count }, () => prepareTask({ config, allocRoot })));
    const idle = await usage(plugin.pid);
    const delay = watchDelay(client);
    const start = await startAll(client, tasks);
    const longest = await delay();
    const { cpu } = await usage(plugin.pid);
    const stop = await timed(() => Promise.all(tasks.map(({ id }) => client.destroyTask(id, true))));
    for (const task of tasks) await task[Symbol.asyncDispose]();
    const { most } = await usage(plugin.pid);
    columns.push(ms(start), ...compared(start, bare?.start), ms((cpu - idle.cpu) / count));
    columns.push(`${(most / 1024).toFixed(0)} MiB`, ms(longest), ms(stop), ...compared(stop, bare?.stop));
  }
  const left = await leftovers(before);
  return `| ${count} | ${columns.join(" | ")} | ${left.length} |`;
}

async function main(): Promise<void> {
  const tree = await busyboxImage();
  const given = process.argv.slice(2).map(Number);
  const columns = [
    ...[
      "tasks at once",
      "until the last one's first line",
      "bare systemd-nspawn",
      "ratio",
      "plugin's CPU time per start",
    ],
    ...[
      "its memory, at most",
      "longest delay of a call",
      "destroyed in",
      "bare ones stopped in",
      "ratio",
      "left on the host",
    ],
  ];
  console.log(`| ${columns.join(" | ")} |\n|${" --- |".repeat(columns.length)}`);
  for (const count of given.length > 0 ? given : [40, 40, 40, 100]) console.log(await row(tree, count));
}

await main();
