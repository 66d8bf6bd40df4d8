import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type StartTaskRequest,
  StartTaskResponse_Result,
  type StartTaskResponseSchema,
  type TaskConfig,
  TaskState,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { clientOf } from "../launch/plan";
import { errorText, RecoverableError } from "../lib/errors";
import { addressNote } from "../network/private/private-network";
import { machineName } from "../nspawn/machine-name";
import { Task } from "../task/task";
import { encodeTaskState, HANDLE_VERSION } from "../task/task-handle";
import type { StartWatch } from "../telemetry/start-watch";
import { rpcError, START_FAILED } from "./rpc";
import type { Services } from "./services";
import { reportDroppedPackets, reportSystem, untilRunning } from "./start-progress";
import { emitEvent, forwardTaskEvents, reportPullProgress, taskFields, taskIdentity } from "./task-events";

type Response = MessageInitShape<typeof StartTaskResponseSchema>;

/**
 * Starts a task's container.
 *
 * @param cancelled aborts when the agent is gone: a download is cancelled then, as by StopTask and DestroyTask. An agent that only stops
 * the job waits until the start has finished, and does not report it: it calls StartTask with the context of the plugin, not with that
 * of the task (Nomad 1.6.1 and its main branch of August 2026, plugins/drivers/client.go, StartTask(); task_runner.go, runDriver())
 */
export async function startTask(
  services: Services,
  { task: config }: StartTaskRequest,
  cancelled: AbortSignal,
): Promise<Response> {
  if (config === undefined) throw rpcError(new Error("StartTask: the request has no task."));
  const machine = machineName(config.name, config.allocId);
  const names = taskFields(config);
  services.names.learn(machine, names);
  const watch = services.watchStart({ ...names, machine });
  try {
    const response = await start(services, config, watch, cancelled);
    watch.succeeded();
    return response;
  } catch (error) {
    watch.failed(error, errorText(error));
    services.log.error(START_FAILED, { machine, error: errorText(error) });
    if (!services.tasks.hasMachine(machine)) services.names.end(machine);
    throw rpcError(error, error instanceof RecoverableError && error.recoverable);
  }
}

async function start(
  services: Services,
  config: TaskConfig,
  timer: StartWatch,
  cancelled: AbortSignal,
): Promise<Response> {
  const { tasks, launcher, host, dangling, lifecycle, shutdown } = services;
  lifecycle.requireWork(`The start of task "${config.name}"`);
  const identity = taskIdentity(config);
  const machine = machineName(config.name, config.allocId);
  dangling.start(clientOf(config));
  using progress = reportPullProgress(services, identity);
  const signal = AbortSignal.any([cancelled, shutdown]);
  const warnings: string[] = [];
  let preparing = "";
  let systemUp = false;
  const task = await tasks.add(identity.id, machine, async (stopped) => {
    const nspawn = await host.requireHealthy();
    await dangling.settled(machine);
    timer.done("host");
    const plan = await launcher.plan(config, machine, nspawn);
    timer.done("plan");
    const onSlow = (sentence: string) => emitEvent(services, identity, sentence);
    const watch = {
      signal: AbortSignal.any([signal, stopped]),
      onProgress: progress.update,
      onAcquired: progress.finish,
      stage: timer.done,
      onSlow,
    };
    return launcher.launch(plan, watch, (launched) => {
      warnings.push(...launched.warnings);
      ({ preparing, systemUp } = launched);
      services.log.info("container started", { machine });
      return new Task(identity, launched, launched.container.startedAt || Date.now());
    });
  });
  await untilRunning(services, task, preparing, signal);
  timer.done("program");
  warnings.push(...(await addressWarnings(services, task)));
  timer.done("address");
  emitEvent(services, identity, `Started machine ${machine}`, { machine });
  forwardTaskEvents(services, task);
  if (systemUp) reportSystem(services, task);
  reportDroppedPackets(services, task);
  for (const warning of warnings) emitEvent(services, identity, warning);
  return startTaskResponse(config, task);
}

/** Waits for the address of a task with a private network; emits an event if it has none in time. */
async function addressWarnings({ config }: Services, { network, exit }: Task): Promise<readonly string[]> {
  const { address_wait: wait } = config.options.network;
  if (network === undefined || (await network.ready(wait)) || exit !== undefined || wait === 0) return [];
  return [addressNote(wait, network.unreached)];
}

function startTaskResponse(config: TaskConfig, { container, startedAt, network }: Task): Response {
  const networkOverride = network?.override();
  return {
    result: StartTaskResponse_Result.SUCCESS,
    ...(networkOverride === undefined ? {} : { networkOverride }),
    handle: {
      version: HANDLE_VERSION,
      config,
      state: TaskState.RUNNING,
      driverState: encodeTaskState({ ref: container.ref, startedAt }),
    },
  };
}
