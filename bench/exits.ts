/**
 * Whether each task's exit is the one that its program ended with: containers start and end, twelve at a time, beside endless loops that keep
 * the processors busy, while the plugin is killed at random and the next one recovers the tasks, as an agent does it.
 * `bun run bench exits [SECONDS] [LOOPS] [TASKS AT ONCE]`: two minutes and eight loops by default. Runs inside a test host, see run.ts.
 */

import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TaskHandle } from "../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { errorText } from "../src/lib/errors";
import { DriverClient } from "../test/support/driver-client";
import { type PluginProcess, startPlugin } from "../test/support/plugin-process";
import { type PreparedTask, prepareTask } from "../test/support/task";
import { attempt } from "../tools/command";
import { busyboxImage } from "../tools/images/images";
import { hostState, leftovers } from "../tools/leftovers";

const [seconds = 120, loops = 8, atOnce = 12] = process.argv.slice(2).map(Number);
/** Pauses between two kills of the plugin, in milliseconds. */
const PAUSE = { shortest: 10_000, longest: 30_000 };
/** How often the plugin is asked again after it was killed. */
const RETRY_MS = 50;
/** gRPC's UNAVAILABLE and CANCELLED: the connection is gone. */
const DISCONNECTED: readonly unknown[] = [14, 1];

/** A kind of task: its program ends by itself. */
interface Kind {
  readonly name: string;
  readonly script: string;
  readonly code: number;
  readonly signal?: number;
  readonly config: Readonly<Record<string, unknown>>;
}

const ephemeral = { volatile: "no", ephemeral: true };
const kinds: readonly Kind[] = [
  { name: "7 at once, ephemeral", script: "exit 7", code: 7, config: ephemeral },
  { name: "7 after a moment, ephemeral", script: "usleep 300000; exit 7", code: 7, config: ephemeral },
  { name: "7 after seconds", script: "sleep 3; exit 7", code: 7, config: { volatile: "overlay" } },
  { name: "0 at once", script: "exit 0", code: 0, config: { volatile: "overlay" } },
  {
    name: "9, with a network",
    script: "usleep 500000; exit 9",
    code: 9,
    config: { volatile: "overlay", network_veth: true },
  },
  {
    name: "5 as PID 2",
    script: "usleep 200000; exit 5",
    code: 5,
    config: { volatile: "overlay", process_two: true },
  },
];

interface Current {
  plugin: PluginProcess;
  client: DriverClient;
}

let current: Current;
/** Resolves when a plugin serves again. */
let serving: Promise<void> = Promise.resolve();
const outcomes = new Map<string, number>();
const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);

async function open(): Promise<void> {
  const plugin = await startPlugin();
  const client = new DriverClient(plugin.socket);
  await client.setConfig({ gc: [{ container_delay: "20s" }] });
  current = { plugin, client };
}

function isDisconnect(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && DISCONNECTED.includes(error.code);
}

/** As an agent: a call whose plugin was killed is repeated with the next one, after `before`. */
async function persistently<T>(
  call: (client: DriverClient) => Promise<T>,
  before?: () => Promise<unknown>,
): Promise<T> {
  for (;;) {
    await serving;
    const { client } = current;
    try {
      return await call(client);
    } catch (error) {
      if (!isDisconnect(error)) throw error;
      await Bun.sleep(RETRY_MS);
      await serving;
      await before?.();
    }
  }
}

async function journalOf({ config }: PreparedTask): Promise<string> {
  const unit = `nomad-nspawn-${config.name}-${config.allocId}.service`;
  const { stdout } = await attempt(["journalctl", "--no-pager", "-o", "short-precise", "-u", unit]);
  return stdout;
}

async function runOne(
  { name, script, code, signal = 0, config }: Kind,
  image: string,
  allocRoot: string,
): Promise<void> {
  const command = ["/bin/sh", "-c", script];
  const task = await prepareTask({
    config: { image, boot: false, network_veth: false, command, ...config },
    allocRoot,
  });
  let handle: TaskHandle | undefined;
  const recover = async () => {
    const kept = handle;
    if (kept !== undefined) await persistently((client) => client.recoverTask(kept));
  };
  try {
    ({ handle } = await persistently((client) => client.startTask(task.config)));
    const { result, err } = await persistently((client) => client.waitTask(task.id), recover);
    if (result?.exitCode === code && result.signal === signal && err === "") count(`${name}: as expected`);
    else {
      count(`${name}: exit code ${result?.exitCode}, signal ${result?.signal}: ${err}`);
      const lines = current.plugin.logs.filter((line) => JSON.stringify(line).includes(task.config.allocId));
      console.log(`${name}: ${JSON.stringify(result)} ${err}\n${await journalOf(task)}\n${task.stderr.text()}`);
      for (const line of lines) console.log(JSON.stringify(line));
    }
  } catch (error) {
    count(`${name}: error: ${errorText(error).slice(0, 200)}`);
  }
  await persistently((client) => client.destroyTask(task.id, true), recover).catch((error: unknown) => {
    const text = errorText(error);
    if (!text.includes("task not found") && !text.includes("systemd has no unit"))
      count(`${name}: destroy: ${text.slice(0, 200)}`);
  });
  await task[Symbol.asyncDispose]();
}

async function killUntil(end: number): Promise<number> {
  let kills = 0;
  while (Date.now() < end) {
    await Bun.sleep(PAUSE.shortest + Math.random() * (PAUSE.longest - PAUSE.shortest));
    const { promise, resolve } = Promise.withResolvers<void>();
    serving = promise;
    const { plugin, client } = current;
    await plugin.kill("SIGKILL");
    client.close();
    await plugin[Symbol.asyncDispose]();
    await open();
    resolve();
    kills += 1;
  }
  return kills;
}

async function main(): Promise<void> {
  const image = await busyboxImage();
  const before = await hostState();
  const hogs = Array.from({ length: loops }, () => Bun.spawn(["/bin/sh", "-c", "while :; do :; done"]));
  let kills = 0;
  let next = 0;
  {
    await using directory = await mkdtempDisposable(join(tmpdir(), "exits-"));
    await open();
    const end = Date.now() + seconds * 1000;
    const worker = async () => {
      while (Date.now() < end) {
        const kind = kinds[next % kinds.length];
        next += 1;
        if (kind !== undefined) await runOne(kind, image, directory.path);
      }
    };
    [kills] = await Promise.all([killUntil(end), ...Array.from({ length: atOnce }, worker)]);
    current.client.close();
    await current.plugin[Symbol.asyncDispose]();
  }
  for (const hog of hogs) hog.kill("SIGKILL");
  await Promise.all(hogs.map((hog) => hog.exited));
  console.log(`${next} tasks in ${seconds} s beside ${loops} loops; plugin killed ${kills} times`);
  for (const [outcome, times] of [...outcomes].sort()) console.log(`| ${outcome} | ${times} |`);
  const left = await leftovers(before);
  console.log([`left on the host: ${left.length}`, ...left].join("\n"));
}

await main();
