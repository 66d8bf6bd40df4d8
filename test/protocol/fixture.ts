/** The fixture of the protocol tests: a plugin, its client, and tasks that are destroyed afterwards. */

import { afterAll, beforeAll, expect } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TaskHandle } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { errorText } from "../../src/lib/errors";
import { busyboxImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { DriverClient } from "../support/driver-client";
import { type PluginProcess, startPlugin } from "../support/plugin-process";
import { type PreparedTask, prepareTask, type TaskSpec } from "../support/task";

/** A plugin with its client; several may follow one another in a test. */
export interface Fixture extends AsyncDisposable {
  plugin(): PluginProcess;
  client(): DriverClient;
  /** The cached busybox tree; tests must not write to it. */
  readonly busybox: string;
  /** A directory that is removed with the fixture. */
  readonly scratch: string;
  /** Prepares a task that is destroyed with the fixture, if it still exists then. */
  task(spec: TaskSpec): Promise<PreparedTask>;
  /** Starts a prepared task and returns its handle, as the agent keeps it. */
  start(task: PreparedTask): Promise<TaskHandle>;
  /** Prepares and starts a task. */
  started(spec: TaskSpec): Promise<PreparedTask>;
  /** Runs a task until it exits and returns the result; the task is destroyed with the fixture. */
  finished(spec: TaskSpec): Promise<{ code: number; signal: number; err: string; stdout: string; stderr: string }>;
  /** Kills the plugin with -9 and starts another. */
  replacePlugin(between?: () => Promise<unknown>): Promise<void>;
}

/** A throw-away busybox container on the host's network that runs a shell script as its PID 1. */
export function shell(image: string, script: string, more: Readonly<Record<string, unknown>> = {}): TaskSpec {
  const config = { image, boot: false, network_veth: false, volatile: "overlay", command: ["/bin/sh", "-c", script] };
  return { config: { ...config, ...more } };
}

/** @param pluginConfig the `config {}` of the plugin block */
export async function openFixture(pluginConfig: Readonly<Record<string, unknown>> = {}): Promise<Fixture> {
  await using made = new AsyncDisposableStack();
  const scratch = await mkdtemp(join(tmpdir(), "workbench-"));
  made.defer(() => rm(scratch, { recursive: true, force: true }));
  const busybox = await busyboxImage();
  const open = async () => {
    const plugin = await startPlugin();
    const client = new DriverClient(plugin.socket);
    await client.setConfig({ image_store: join(scratch, "images"), ...pluginConfig });
    return { plugin, client };
  };
  let current = await open();
  made.defer(async () => {
    current.client.close();
    await current.plugin[Symbol.asyncDispose]();
  });
  const kept = made.move();
  const task = async (spec: TaskSpec) => {
    const prepared = await prepareTask({ allocRoot: join(scratch, "allocations"), ...spec });
    kept.use(prepared);
    kept.defer(async () => {
      // A plugin that was started later knows the task only after recovering it; a destroyed task is not found.
      const handle = handles.get(prepared.id);
      if (handle !== undefined) await failure(current.client.recoverTask(handle));
      const problem = await failure(current.client.destroyTask(prepared.id, true));
      if (problem !== "" && !problem.includes("task not found")) throw new Error(problem);
    });
    return prepared;
  };
  const handles = new Map<string, TaskHandle>();
  const start = async (prepared: PreparedTask) => {
    const { handle } = await current.client.startTask(prepared.config);
    if (handle === undefined) throw new Error("StartTask gave no handle.");
    handles.set(prepared.id, handle);
    return handle;
  };
  const started = async (spec: TaskSpec) => {
    const prepared = await task(spec);
    await start(prepared);
    return prepared;
  };
  return {
    plugin: () => current.plugin,
    client: () => current.client,
    busybox,
    scratch,
    task,
    start,
    started,
    finished: async (spec) => {
      const prepared = await started(spec);
      const { result, err } = await current.client.waitTask(prepared.id);
      await current.client.destroyTask(prepared.id);
      const [stdout, stderr] = await Promise.all([prepared.stdout.ended(), prepared.stderr.ended()]);
      return { code: result?.exitCode ?? -1, signal: result?.signal ?? -1, err, stdout, stderr };
    },
    replacePlugin: async (between) => {
      current.client.close();
      await current.plugin.kill("SIGKILL");
      await current.plugin[Symbol.asyncDispose]();
      await between?.();
      current = await open();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * Opens a fixture for the tests of a file, and closes it after them; the tests must not leave anything on the machine.
 *
 * @param use receives the fixture before the first test
 */
export function useFixture(use: (bench: Fixture) => void, pluginConfig: Readonly<Record<string, unknown>> = {}): void {
  let before: HostState;
  let bench: Fixture;
  beforeAll(async () => {
    before = await hostState();
    bench = await openFixture(pluginConfig);
    use(bench);
  });
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    expect(await leftovers(before)).toEqual([]);
  }, 60_000);
}

/** A copy of an image's tree that a test may write to. */
export async function copyTree(image: string, target: string): Promise<string> {
  await cp(image, target, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  return target;
}

/** The message a call fails with; "" for one that succeeds. Unlike bun's .rejects it leaves the event loop running. */
export async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "";
  } catch (error) {
    return unescapeReserved(errorText(error));
  }
}

/**
 * grpc-js decodes the percent-encoding of a status message with decodeURI(), which leaves characters with a meaning in a URI
 * encoded; grpc-go, and so the agent, decodes all of it.
 */
function unescapeReserved(message: string): string {
  return message.replace(/%(?:2[346BCF]|3[ABDF]|40)/gi, decodeURIComponent);
}
