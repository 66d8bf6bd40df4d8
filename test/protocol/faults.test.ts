/** The plugin is killed with -9 at every moment of a start, and later calls must behave as if nothing had happened. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { removeIfEmpty } from "../../src/lib/files";
import { parseNamespacePids } from "../../src/linux/proc";
import { machinesOfClient } from "../../src/machine/registry";
import { machineName } from "../../src/nspawn/machine-name";
import { missingSettings } from "../../src/runtime/compiler-settings";
import { run } from "../../tools/command";
import { diskImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { DriverClient } from "../support/driver-client";
import { RUNS_FACTOR } from "../support/fuzz";
import { archiveOf, writeImage } from "../support/oci-image";
import { startPlugin } from "../support/plugin-process";
import type { PreparedTask } from "../support/task";
import { copyTree, type Fixture, failure, openFixture, shell } from "./fixture";
import { underSystemd } from "./inside";

let before: HostState;
let bench: Fixture;
let allocRoot: string;
/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/faults-store-${process.pid}`;
/** A container (OCI) image, as a job names it. */
let stored: string;
/** A copy of the busybox tree, which tasks change. */
let plain: string;
/** A copy of it as a disk image, of which the roots are made as of directories. */
let disk: string;
beforeAll(async () => {
  before = await hostState();
  allocRoot = await mkdtemp(join(tmpdir(), "alloc-root-"));
  bench = await openFixture({ image_store: store });
  plain = await copyTree(bench.busybox, join(bench.scratch, "plain"));
  disk = join(bench.scratch, "disk.raw");
  await cp(await diskImage(), disk);
  stored = await writeImage(join(bench.scratch, "layout"), "busybox", [{ archive: await archiveOf(bench.busybox) }]);
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await rm(allocRoot, { recursive: true, force: true });
  await rm(store, { recursive: true, force: true });
  expect(await leftovers(before)).toEqual([]);
});

/**
 * Milliseconds after the request at which the plugin dies: a start takes about a hundred. The sweep below kills it before each of its own
 * steps; these are for what happens between them, in other programs and in the kernel.
 */
const moments = [2, 12, 40, 100];

/** All processes of the machine that run a task's command as PID 1 of a container. */
async function payloads(mark: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    const first = parseNamespacePids(status).at(-1) === 1;
    if (first && commandLine.startsWith("/bin/sh\0-c\0") && commandLine.includes(mark)) found.push(Number(pid));
  }
  return found;
}

/** The processes of a task, including its systemd-nspawn, because a starting container has no payload yet. */
async function processesOf(task: PreparedTask): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (commandLine.includes(mark(task))) found.push(commandLine);
  }
  return found;
}

const mark = (task: PreparedTask) => `: ${task.config.name}`;

/** A task with its mark in its command line. */
function prepared(image: string = bench.busybox, more: Readonly<Record<string, unknown>> = {}): Promise<PreparedTask> {
  const script = `: ${crypto.randomUUID()}; echo up; while :; do sleep 0.1; done`;
  const resources = { ports: [{ label: "http", value: 20_500, to: 80, hostIp: "" }] };
  return bench.task({ ...shell(image, script, more), name: script.slice(2, 10), allocRoot, resources });
}

const kinds = ["a directory", "an ephemeral disk image", "a stored image with a network of its own"] as const;

test.each(moments)("killed %d ms after the begin of a start: started again, the task runs once", async (moment) => {
  const task = await prepared();
  const start = failure(bench.client().startTask(task.config));
  await Bun.sleep(moment);
  await bench.replacePlugin();
  await start;
  // An agent that never received a handle does this.
  await bench.start(task);
  // The log's reader may have seen the end of a first container, so search the processes instead.
  const deadline = performance.now() + 10_000;
  while ((await payloads(mark(task))).length === 0 && performance.now() < deadline) await Bun.sleep(10);
  await Bun.sleep(100);
  expect(await payloads(mark(task))).toHaveLength(1);
  await bench.client().destroyTask(task.id, true);
  expect(await payloads(mark(task))).toEqual([]);
});

/**
 * The steps of images and networks are the same for both supervisors: they are swept in the test host, the steps of an image and of a
 * network in one sweep, which contains those of a directory. On this machine the sweep is for the steps of shims.
 */
const swept: readonly (typeof kinds)[number][] = underSystemd ? kinds.slice(1) : ["a directory"];

/**
 * Every second step; each one with `bun scripts/in-host.ts env NSPAWN_FUZZ_FACTOR=2 bun test ./test/protocol/faults.test.ts`: a step costs
 * the start of a plugin and of two containers, and neighbouring steps leave much the same.
 */
const STRIDE = RUNS_FACTOR > 1 ? 1 : 2;

test.each(swept)(
  "%s: killed before each step of a start and of a destroy: started again, the task runs once",
  async (kind) => {
    const whole = kind === "a stored image with a network of its own";
    const ephemeral = kind === "an ephemeral disk image";
    const image = whole ? stored : ephemeral ? disk : plain;
    const root = { volatile: "no", ephemeral };
    const network = whole ? { network_veth: true, ports: ["http"] } : {};
    const hook = resolve(import.meta.dir, "../support/kill-at-step.ts");
    const rulesBefore = (await run(["nft", "list", "ruleset"])).stdout;
    let step = 1;
    for (let killed = true; killed; step += STRIDE) {
      // Waiting for processes to end takes more or fewer of them.
      expect(step).toBeLessThan(400);
      const task = await prepared(image, { ...root, ...network });
      // With the runtime's settings the plugin need not start itself once more.
      const settings = Object.fromEntries(missingSettings({}).map((variable) => variable.split("=")));
      const env = { ...settings, BUN_OPTIONS: `--preload=${hook}`, KILL_AT_STEP: String(step) };
      await using plugin = await startPlugin({ env });
      using client = new DriverClient(plugin.socket);
      await client.setConfig({ image_store: store });
      process.kill(plugin.pid, "SIGUSR2");
      await client.health();
      killed =
        (await failure(client.startTask(task.config))) !== "" ||
        (await failure(client.destroyTask(task.id, true))) !== "";
      if (killed) await plugin.exited;
      await bench.start(task);
      for (const deadline = performance.now() + 30_000; performance.now() < deadline; await Bun.sleep(10)) {
        if ((await payloads(mark(task))).length > 0) break;
      }
      expect(await payloads(mark(task))).toHaveLength(1);
      await bench.client().destroyTask(task.id, true);
      expect(await payloads(mark(task))).toEqual([]);
      expect((await run(["nft", "list", "ruleset"])).stdout).toBe(rulesBefore);
      expect(await readdir(join(store, "containers"))).toEqual([]);
    }
    console.log(`${kind}: a start and a destroy have at most ${step - STRIDE - 1} steps`);
    expect(step).toBeGreaterThan(10);
  },
  900_000,
);

test.each([0, 5, 20, 60])("killed %d ms after the begin of a stop: the next plugin completes it", async (moment) => {
  const task = await prepared();
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  const stop = failure(bench.client().stopTask(task.id, { timeout: 0 }));
  await Bun.sleep(moment);
  await bench.replacePlugin();
  await stop;
  await bench.client().recoverTask(handle);
  await bench.client().stopTask(task.id, { timeout: 0 });
  const { result } = await bench.client().waitTask(task.id);
  // By SIGKILL, or by the SIGINT before it.
  const { exitCode = 0, signal = 0 } = result ?? {};
  expect([137, 130]).toContain(signal === 0 ? exitCode : 128 + signal);
  await bench.client().destroyTask(task.id);
  expect(await payloads(mark(task))).toEqual([]);
});

test.each([5, 20])("killed %d ms after the begin of a destroy: the next plugin completes it", async (moment) => {
  const task = await prepared();
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  const destroy = failure(bench.client().destroyTask(task.id, true));
  await Bun.sleep(moment);
  await bench.replacePlugin();
  await destroy;
  // An agent that cannot recover a task starts it again, which removes what is left of it.
  if ((await failure(bench.client().recoverTask(handle))) !== "") await bench.start(task);
  await bench.client().destroyTask(task.id, true);
  expect(await payloads(mark(task))).toEqual([]);
  expect(await machinesOfClient(allocRoot)).toEqual([]);
});

test("killed while commands run in a task: the commands end, the task keeps running", async () => {
  const task = await prepared();
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  const calls = Array.from({ length: 5 }, () =>
    failure(bench.client().execTask(task.id, ["/bin/sleep", "1234"], 60_000)),
  );
  const sleeping = async () => {
    const { result, stdout } = await bench
      .client()
      .execTask(task.id, ["/bin/sh", "-c", "ps -o args | grep -c '[s]leep 1234'"], 10_000);
    return result?.exitCode === 0 ? Number(Buffer.from(stdout).toString()) : 0;
  };
  while ((await sleeping()) < 5) await Bun.sleep(20);
  await bench.replacePlugin();
  await Promise.all(calls);
  await bench.client().recoverTask(handle);
  for (const deadline = performance.now() + 5_000; (await sleeping()) > 0 && performance.now() < deadline; )
    await Bun.sleep(20);
  expect(await sleeping()).toBe(0);
  expect(await payloads(mark(task))).toHaveLength(1);
});

test("a full state directory makes a start fail with an error, and nothing of it remains", async () => {
  const state = "/run/nomad-driver-nspawn";
  await mkdir(state, { recursive: true, mode: 0o700 });
  await run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=3", "tmpfs", state]);
  try {
    const task = await prepared();
    const problem = await failure(bench.client().startTask(task.config));
    expect(problem).toMatch(
      /Cannot write the files of container \S+ below \/run\/nomad-driver-nspawn\/files: the file system of \/run is full/,
    );
    expect(await readdir(state)).toEqual([]);
    expect(await payloads(mark(task))).toEqual([]);
  } finally {
    await run(["umount", state]);
    // Nothing of another machine: that would be a leftover of an earlier test.
    await removeIfEmpty(state);
  }
  const { code } = await bench.finished({ ...shell(bench.busybox, "exit 3"), allocRoot });
  expect(code).toBe(3);
});

test("a start that fails after its container runs kills it, and a failed destroy can be retried", async () => {
  const hook = resolve(import.meta.dir, "../support/fail-to-read.ts");
  const failing = (path: string) => startPlugin({ env: { BUN_OPTIONS: `--preload=${hook}`, FAIL_TO_READ: path } });
  // The cgroups of the container are looked up when only the task itself remains to be created.
  await using plugin = await failing("^/proc/\\d+/cgroup$");
  using client = new DriverClient(plugin.socket);
  await client.setConfig({ image_store: store });
  const task = await prepared();
  process.kill(plugin.pid, "SIGUSR2");
  await client.health();
  expect(await failure(client.startTask(task.config))).toContain("too many open files");
  expect(await processesOf(task)).toEqual([]);
  expect(plugin.logs.filter((line) => line["@message"] === "container started")).toHaveLength(1);

  await using later = await failing("^/proc/self/mountinfo$");
  using other = new DriverClient(later.socket);
  await other.setConfig({ image_store: store });
  await other.startTask(task.config);
  // The mount table is read only if a systemd-nspawn has left directories of the machine.
  const machine = machineName(task.config.name, task.config.allocId);
  // One that only systemd-nspawn 262 makes, and removes itself.
  await mkdir(`/run/systemd/nspawn/${machine}/unix-export`, { recursive: true });
  process.kill(later.pid, "SIGUSR2");
  await other.health();
  expect(await failure(other.destroyTask(task.id, true))).toContain("too many open files");
  expect(await failure(other.destroyTask(task.id, true))).toBe("");
  expect(await processesOf(task)).toEqual([]);
});

test("the image is removed while a task runs from it", async () => {
  const image = join(bench.scratch, "going");
  await copyTree(bench.busybox, image);
  const task = await bench.started({
    config: { ...shell(image, "sleep 1000 & trap 'exit 8' USR1; echo up; wait $!").config },
    allocRoot,
  });
  await task.stdout.waitFor("up");
  await rm(image, { recursive: true });
  await bench.client().signalTask(task.id, "SIGUSR1");
  const { result } = await bench.client().waitTask(task.id);
  expect(result).toMatchObject({ exitCode: 8, signal: 0 });
  await bench.client().destroyTask(task.id);
});
