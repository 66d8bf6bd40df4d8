import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type StartTaskRequest,
  StartTaskResponse_Result,
  type StartTaskResponseSchema,
  TaskState,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { discardContainer } from "../launch/discard-container";
import { execContext } from "../launch/exec-context";
import { prepareTask } from "../launch/prepare";
import { releaseContainer } from "../launch/release";
import { errorText, RecoverableError } from "../lib/errors";
import { clientOf, isRegistered } from "../machine/files";
import { addressNote, connectNetwork } from "../network/private/private-network";
import { readNspawn } from "../nspawn/installation";
import { machineName } from "../nspawn/machine-name";
import type { Driver } from "../runtime/driver";
import type { Container } from "../supervisor/supervisor";
import { machinedAvailable } from "../systemd/presence";
import { Task } from "../task/task";
import { encodeTaskState, handleVersion } from "../task/task-handle";
import { healthProblem, readHostFacts } from "./fingerprint";
import { rpcError } from "./rpc";
import { emitEvent, forwardTaskEvents, reportPullProgress } from "./task-events";

/**
 * Starts a task's container. If the start fails, everything that was acquired is released.
 *
 * @param gone aborts when the agent has disconnected: a download is then cancelled. An agent that only stops the job waits until
 * the start has finished, without a signal to the driver (Nomad 1.11.3, task_runner.go, runDriver())
 */
export async function startTask(
  driver: Driver,
  { task: config }: StartTaskRequest,
  gone: AbortSignal,
): Promise<MessageInitShape<typeof StartTaskResponseSchema>> {
  if (config === undefined) throw rpcError(new Error("StartTask: the request has no task."));
  const identity = { id: config.id, name: config.name, allocId: config.allocId };
  const notes: string[] = [];
  using progress = reportPullProgress(driver, identity);
  try {
    driver.lifecycle.requireWork(`The start of task "${config.name}"`);
    const machine = machineName(config.name, config.allocId);
    driver.dangling.start(clientOf(config));
    const task = await driver.tasks.add(config.id, machine, async () => {
      const supervisor = driver.supervisorNamed(driver.supervisor);
      const nspawn = await readNspawn();
      if (nspawn === undefined || !driver.config.options.enabled) {
        throw new Error(healthProblem(await readHostFacts(driver)) ?? "systemd-nspawn is not installed.");
      }
      await driver.dangling.settled(machine);
      // First remove what an interrupted start of the same task left: it may still write to the root that is about to be created.
      if (isRegistered(machine)) await discardContainer(driver, machine);
      const prepared = await prepareTask(config, machine, {
        plugin: driver.config.options,
        nspawn,
        pluginDir: driver.pluginDir,
        register: driver.supervisor === "systemd" && machinedAvailable(),
        log: driver.log,
        images: driver.images,
        machineImages: driver.machineImages,
        namesVolumes: driver.lifecycle.initialized,
        onProgress: progress.update,
        signal: AbortSignal.any([gone, driver.ended]),
      });
      progress.finish();
      const { launch, options, stopSignal, network: reserved } = prepared;
      notes.push(...prepared.notes);
      const release = async () => {
        await releaseContainer(launch.machine, driver.log);
        driver.images.unused();
      };
      let container: Container | undefined;
      try {
        container = await supervisor.launch(launch);
        driver.log.info("container started", { task: config.name, alloc: config.allocId, machine: launch.machine });
        const startedAt = container.startedAt || Date.now();
        const network =
          reserved === undefined ? undefined : await connectNetwork(reserved, options.boot, container, driver);
        return new Task({
          identity,
          container,
          startedAt,
          exec: execContext(config, options),
          network,
          stopSignal,
          release,
        });
      } catch (error) {
        // If the container cannot be killed, keep its files so that the dangling sweep finds it later.
        const problem = await container?.release().then(() => undefined, errorText);
        if (problem === undefined) await release();
        else driver.log.warn("cannot remove the container of a failed start", { machine, error: problem });
        throw error;
      }
    });
    const { ref } = task.container;
    const { address_wait: wait } = driver.config.options.network;
    if (task.network !== undefined && !(await task.network.ready(wait)) && task.exit === undefined && wait > 0) {
      notes.push(addressNote(wait, task.network.unreached));
    }
    const networkOverride = task.network?.override();
    emitEvent(driver, identity, `Started machine ${ref.machine}`, { machine: ref.machine });
    forwardTaskEvents(driver, task);
    for (const note of notes) emitEvent(driver, identity, note);
    return {
      result: StartTaskResponse_Result.SUCCESS,
      ...(networkOverride === undefined ? {} : { networkOverride }),
      handle: {
        version: handleVersion,
        config,
        state: TaskState.RUNNING,
        driverState: encodeTaskState({ ref, startedAt: task.startedAt }),
      },
    };
  } catch (error) {
    const recoverable = error instanceof RecoverableError && error.recoverable;
    driver.log.error("cannot start task", {
      task: config.name,
      alloc: config.allocId,
      error: errorText(error),
    });
    throw rpcError(error, recoverable);
  }
}
