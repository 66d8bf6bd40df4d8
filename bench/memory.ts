/**
 * What memory a task takes beside its programs: the kernel's own (mounts, overlays, namespaces, cgroups), and files in memory; and the
 * plugin's. The same for systemd-nspawn alone with the same switches in the same run. `bun run bench memory [TASKS]`, sixty by default.
 * Runs inside a test host, see run.ts.
 */

import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DriverClient } from "../test/support/driver-client";
import { type PluginProcess, startPlugin } from "../test/support/plugin-process";
import { prepareTask } from "../test/support/task";
import { run } from "../tools/command";
import { debianImage, diskImage } from "../tools/images/images";

const LINE_MS = 600_000;
/** The kernel frees what ended containers had some time later. */
const SETTLE_MS = 5_000;
const SLEEP = ["/bin/sh", "-c", "echo up; exec sleep 1000"];

/** Kibibytes of the machine: the kernel's objects, and files of tmpfs (proc_meminfo(5)). */
async function memory() {
  const text = await readFile("/proc/meminfo", "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return { kernel: field("Slab") + field("Percpu"), files: field("Shmem") };
}

/** Kibibytes of a process that no other one shares. */
async function own(pid: number): Promise<number> {
  return Number(/^RssAnon:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}

/** Starts containers; the returned function ends them. */
type Start = (count: number) => Promise<() => Promise<unknown>>;

function byDriver(client: DriverClient, image: string, more: object): Start {
  return async (count) => {
    const directory = await mkdtempDisposable(join(tmpdir(), "memory-"));
    const config = { image, boot: false, network_veth: false, command: SLEEP, ...more };
    const spec = { config, allocRoot: directory.path };
    const tasks = await Promise.all(Array.from({ length: count }, () => prepareTask(spec)));
    const begin = async ({ config, stdout }: (typeof tasks)[number]) => {
      await client.startTask(config);
      await stdout.waitFor("up\n", LINE_MS);
    };
    await Promise.all(tasks.map(begin));
    return async () => {
      await Promise.all(tasks.map(({ id }) => client.destroyTask(id, true)));
      for (const task of tasks) await task[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    };
  };
}

function bare(image: string, switches: readonly string[]): Start {
  return async (count) => {
    const units = Array.from({ length: count }, () => `memory-${crypto.randomUUID()}`);
    for (const unit of units) {
      const service = ["systemd-run", "--quiet", "--collect", `--unit=${unit}`, "--property=Type=notify"];
      const nspawn = ["systemd-nspawn", "--quiet", "--keep-unit", "--settings=no", `--machine=${unit.slice(0, 40)}`];
      await run([...service, ...nspawn, `--directory=${image}`, ...switches, ...SLEEP]);
    }
    return () => run(["systemctl", "stop", ...units.map((unit) => `${unit}.service`)]);
  };
}

async function row(name: string, start: Start, count: number, plugin?: PluginProcess): Promise<string> {
  await (await start(2))();
  await Bun.sleep(SETTLE_MS);
  const [before, ownBefore] = [await memory(), plugin === undefined ? 0 : await own(plugin.pid)];
  const stop = await start(count);
  const [after, ownAfter] = [await memory(), plugin === undefined ? 0 : await own(plugin.pid)];
  await stop();
  const each = (kibibytes: number) => `${(kibibytes / count).toFixed(0)} KiB`;
  const [kernel, files] = [after.kernel - before.kernel, after.files - before.files];
  return `| ${name} | ${each(kernel)} | ${each(files)} | ${plugin === undefined ? "" : each(ownAfter - ownBefore)} |`;
}

async function main(): Promise<void> {
  const count = Number(process.argv[2] ?? 60);
  const [image, disk] = [await debianImage(), await diskImage()];
  console.log(`| each of ${count} tasks | kernel | files in memory | plugin |\n| --- | --- | --- | --- |`);
  {
    await using plugin = await startPlugin();
    using client = new DriverClient(plugin.socket);
    await client.setConfig({});
    const of = (root: string, more: object) => byDriver(client, root, more);
    const host = { user_namespacing: false };
    const rows = [
      ['`volatile = "overlay"`, no user namespace', of(image, { volatile: "overlay", ...host })],
      ['`volatile = "overlay"`', of(image, { volatile: "overlay" })],
      ["`ephemeral`", of(image, { volatile: "no", ephemeral: true })],
      ['disk image, `volatile = "overlay"`', of(disk, { volatile: "overlay" })],
    ] as const;
    for (const [name, start] of rows) console.log(await row(name, start, count, plugin));
  }
  const mapped = ["--private-users=pick", "--private-users-ownership=auto"];
  console.log(await row("systemd-nspawn, `--volatile=overlay`", bare(image, ["--volatile=overlay"]), count));
  const few = Math.min(count, 3);
  const copying = bare(image, ["--volatile=overlay", ...mapped]);
  console.log(await row(`systemd-nspawn, the same in a user namespace (${few} of them)`, copying, few));
}

await main();
