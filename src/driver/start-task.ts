import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type StartTaskRequest,
  StartTaskResponse_Result,
  type StartTaskResponseSchema,
  TaskState,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { errorText } from "../host/error-text";
import { machinedAvailable } from "../host/machined";
import { readNspawn } from "../host/nspawn-version";
import { RecoverableError } from "../host/recoverable-error";
import { addressNote } from "../network/address-note";
import { connectNetwork } from "../network/private-network";
import { machineName } from "../nspawn/machine-name";
import type { Supervised } from "../supervisor/supervisor";
import { execContext } from "../task/exec-context";
import { isClaimed, ownerOf } from "../task/files";
import { encodeTaskState, handleVersion } from "../task/handle";
import { prepareTask } from "../task/prepare";
import { releaseContainer } from "../task/release";
import { Task } from "../task/task";
import { discardContainer } from "./discard-container";
import type { Driver } from "./driver";
import { healthProblem, readHostFacts } from "./fingerprint";
import { rpcError } from "./rpc";
import { tellEvent, tellProgress, watchTask } from "./task-events";

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
  using progress = tellProgress(driver, identity);
  try {
    driver.lifecycle.requireWork(`The start of task "${config.name}"`);
    const machine = machineName(config.name, config.allocId);
    driver.orphans.begin(ownerOf(config));
    const task = await driver.tasks.add(config.id, machine, async () => {
      const supervisor = driver.supervisorNamed(driver.supervisor);
      const nspawn = await readNspawn();
      if (nspawn === undefined || !driver.config.options.enabled) {
        throw new Error(healthProblem(await readHostFacts(driver)) ?? "systemd-nspawn is not installed.");
      }
      await driver.orphans.removed(machine);
      // First remove what an interrupted start of the same task left: it may still write to the root that is about to be created.
      if (isClaimed(machine)) await discardContainer(driver, machine);
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
      let supervised: Supervised | undefined;
      try {
        supervised = await supervisor.launch(launch);
        driver.log.info("container started", { task: config.name, alloc: config.allocId, machine: launch.machine });
        const startedAt = supervised.startedAt || Date.now();
        const network =
          reserved === undefined ? undefined : await connectNetwork(reserved, options.boot, supervised, driver);
        return new Task({
          identity,
          supervised,
          startedAt,
          exec: execContext(config, options),
          network,
          stopSignal,
          release,
        });
      } catch (error) {
        // If the container cannot be killed, keep its files so that the dangling sweep finds it later.
        const problem = await supervised?.release().then(() => undefined, errorText);
        if (problem === undefined) await release();
        else driver.log.warn("cannot remove the container of a failed start", { machine, error: problem });
        throw error;
      }
    });
    const { ref } = task.supervised;
    const { address_wait: wait } = driver.config.options.network;
    if (task.network !== undefined && !(await task.network.ready(wait)) && task.exit === undefined && wait > 0) {
      notes.push(addressNote(wait, task.network.unreached));
    }
    const networkOverride = task.network?.override();
    tellEvent(driver, identity, `Started machine ${ref.machine}`, { machine: ref.machine });
    watchTask(driver, task);
    for (const note of notes) tellEvent(driver, identity, note);
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
