import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { encode } from "@msgpack/msgpack";
import type { ExitResult, TaskConfig, TaskHandle } from "../../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { settles } from "../../lib/deadline";
import { errorText } from "../../lib/errors";
import { isRegistered } from "../../machine/registry";
import { machineName } from "../../nspawn/machine-name";
import { createLogger } from "../../plugin/logger";
import { createRuntime } from "../../runtime/runtime";
import { type Allocation, createAllocation, taskConfig } from "./allocation";
import { forwardOutput, openLogFifo } from "./log-pipe";
import type { RunOptions } from "./options";
import { checkHealth, connectPlugin, type PluginClient, plainErrors, startTask, taskEnd } from "./plugin-client";
import { isStartFailure, logSentence, type PluginChild, startPluginChild } from "./plugin-process";

/** An agent waits about this long before it kills a plugin that it asked to shut down. */
const SHUTDOWN_MS = 2_000;

interface RunContext {
  /** argv that starts this program as a plugin. */
  readonly self: readonly string[];
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Prints a message that is not output of the task. */
  readonly say: (sentence: string) => void;
  /** Aborted to stop the task; the reason is the signal's name, "" lets the driver choose it. */
  readonly stop: AbortSignal;
  /** Aborted to kill the task. */
  readonly kill: AbortSignal;
}

/**
 * Runs a task until it exits, and removes everything of it.
 *
 * @returns its exit status; undefined if it was stopped before it started
 * @throws Error with the driver's message if it cannot be started
 */
export async function runTask(options: RunOptions, context: RunContext): Promise<ExitResult | undefined> {
  const allocation = createAllocation();
  const task = taskConfig(allocation, options);
  const log = (line: string): void => {
    // The answer to StartTask has the same error.
    if (!options.verbose && isStartFailure(line)) return;
    const sentence = logSentence(line, options.verbose);
    if (sentence !== undefined) context.say(sentence);
  };
  const withPlugin = async <T>(use: (client: PluginClient) => Promise<T>): Promise<T> => {
    const child = await startPluginChild(context.self, allocation.sockets, log);
    const client = connectPlugin(child.socketPath);
    try {
      return await Promise.race([use(client), lost(child)]);
    } finally {
      await shutDown(client, child);
    }
  };
  let handle: TaskHandle | undefined;
  try {
    return await withPlugin((client) =>
      runOn(client, { allocation, task, options }, context, (started) => {
        handle = started;
      }),
    );
  } catch (error) {
    // The container outlives its plugin; a second plugin recovers it, as after a crash of an agent.
    const left = handle;
    if (error instanceof PluginLostError) {
      if (left !== undefined) await withPlugin((client) => destroyLeft(client, left));
      else await discardUnfinished(task, log);
    }
    throw error;
  } finally {
    allocation.remove();
  }
}

/** Removes the container of a start that its plugin did not live to answer: without a handle, no plugin can recover it. */
async function discardUnfinished({ name, allocId }: TaskConfig, log: (line: string) => void): Promise<void> {
  const machine = machineName(name, allocId);
  if (!isRegistered(machine)) return;
  await using runtime = createRuntime(createLogger("run", log));
  await runtime.launcher.discard(machine);
}

/** A task to run, and where. */
interface RunRequest {
  readonly allocation: Allocation;
  readonly task: TaskConfig;
  readonly options: RunOptions;
}

async function runOn(
  client: PluginClient,
  request: RunRequest,
  context: RunContext,
  started: (handle: TaskHandle) => void,
): Promise<ExitResult | undefined> {
  await configure(client);
  await checkHealth(client.driver);
  if (context.stop.aborted) return undefined;
  const readerGone = new AbortController();
  const end = () => readerGone.abort("");
  const { allocation } = request;
  const stdout = openLogFifo(allocation.stdoutPath, forwardOutput(context.stdout, end));
  const stderr = openLogFifo(allocation.stderrPath, forwardOutput(context.stderr, end));
  try {
    const stop = AbortSignal.any([context.stop, readerGone.signal]);
    return await startAndWait(client, request, { ...context, stop }, started);
  } finally {
    stdout.release();
    stderr.release();
    await Promise.all([stdout.done, stderr.done]);
  }
}

async function startAndWait(
  { driver }: PluginClient,
  { task, options }: RunRequest,
  { stop, kill, say }: RunContext,
  started: (handle: TaskHandle) => void,
): Promise<ExitResult> {
  const taskId = task.id;
  started(await startTask(driver, task));
  const stopTask = (signal: string, milliseconds: number): void => {
    driver.stopTask({ taskId, signal, timeout: durationFromMs(milliseconds) }).catch((error: unknown) => {
      say(`Cannot stop the task: ${errorText(error)}`);
    });
  };
  const ended = new AbortController();
  onAbort(stop, ended.signal, () => stopTask(String(stop.reason), options.stopTimeout));
  onAbort(kill, ended.signal, () => stopTask("SIGKILL", 0));
  try {
    return await taskEnd(driver, taskId);
  } finally {
    ended.abort();
    await plainErrors(driver.destroyTask({ taskId, force: true }));
  }
}

/** Calls back when a signal is aborted or if it already is, unless `unless` was aborted before. */
function onAbort(signal: AbortSignal, unless: AbortSignal, callback: () => void): void {
  if (signal.aborted) callback();
  else signal.addEventListener("abort", callback, { once: true, signal: unless });
}

async function configure({ base }: PluginClient): Promise<void> {
  await plainErrors(base.setConfig({ msgpackConfig: encode({}), pluginApiVersion: "0.1.0" }));
}

async function destroyLeft(client: PluginClient, handle: TaskHandle): Promise<void> {
  const taskId = handle.config?.id ?? "";
  await configure(client);
  await plainErrors(client.driver.recoverTask({ taskId, handle }));
  await plainErrors(client.driver.destroyTask({ taskId, force: true }));
}

class PluginLostError extends Error {
  override readonly name = "PluginLostError";
}

/** Rejects if the plugin exits. */
async function lost(child: PluginChild): Promise<never> {
  throw new PluginLostError(`The driver ${await child.ended} while the task ran; the task was removed.`);
}

async function shutDown(client: PluginClient, child: PluginChild): Promise<void> {
  try {
    // A response is optional: only the exit of the process matters.
    client.controller.shutdown({}).catch(() => {});
    await settles(child.ended, SHUTDOWN_MS);
  } finally {
    client.close();
    await child.kill();
  }
}
