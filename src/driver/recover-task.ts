import type { RecoverTaskRequest, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/options";
import { decodeTaskConfig } from "../config/task-config";
import { errorText } from "../host/error-text";
import { withImageDefaults } from "../image/defaults";
import { taskImageOrigin } from "../image/origin";
import { parseImageConfig } from "../image/store/image-config";
import { imageOfRoot } from "../image/store/image-store";
import { connectNetwork, recoverNetwork } from "../network/private-network";
import { execContext } from "../task/exec-context";
import { containerRoot, ownerOf } from "../task/files";
import { decodeTaskState } from "../task/handle";
import { releaseContainer } from "../task/release";
import { Task } from "../task/task";
import type { Driver } from "./driver";
import { watchTask } from "./task-events";

/** Finds a task again that an earlier plugin process, or this one, started: running, or ended meanwhile. */
export async function recoverTask(driver: Driver, { handle }: RecoverTaskRequest): Promise<void> {
  const config = handle?.config;
  if (handle === undefined || config === undefined) throw new Error("RecoverTask came without a handle.");
  // The agent leaves the request's own task_id empty (nomad's plugins/drivers/client.go).
  const { id } = config;
  // An agent that was killed finds the plugin process it had, which knows its tasks.
  if (driver.tasks.has(id)) return;
  const { ref, startedAt } = decodeTaskState(handle.driverState);
  driver.orphans.begin(ownerOf(config));
  const task = await driver.tasks.add(id, ref.machine, async () => {
    const supervised = await driver.supervisorNamed(ref.supervisor).attach(ref);
    const identity = { id, name: config.name, allocId: config.allocId };
    const { options, stopSignal } = await withImage(config, ref.machine, readableConfig(driver, config));
    const release = async () => {
      await releaseContainer(ref.machine, driver.log);
      driver.images.unused();
    };
    const exec = execContext(config, options);
    const record = await recoverNetwork(ref.machine, driver.log);
    const network =
      record === undefined ? undefined : await connectNetwork(record, ref.mode === "boot", supervised, driver);
    return new Task({ identity, supervised, startedAt, exec, network, stopSignal, release });
  });
  driver.log.info("container recovered", { task: config.name, alloc: config.allocId, machine: ref.machine });
  watchTask(driver, task);
}

/** What the image of the task says where the job says nothing, as when it was started. */
async function withImage(
  { env, deviceEnv, user }: TaskConfig,
  machine: string,
  options: TaskOptions | undefined,
): Promise<{ readonly options: TaskOptions | undefined; readonly stopSignal?: string }> {
  const root = await containerRoot(machine);
  const image = root === undefined ? undefined : await imageOfRoot(root);
  if (image === undefined || options === undefined) return { options };
  const config = parseImageConfig(image.configText, JSON.stringify(options.image));
  return withImageDefaults(options, { environment: { ...env, ...deviceEnv }, user }, config);
}

/** The task's config, which an earlier version of the driver may have accepted and this one does not. */
function readableConfig(driver: Driver, config: TaskConfig): TaskOptions | undefined {
  try {
    const { pluginDir } = driver;
    return decodeTaskConfig(
      config.msgpackDriverConfig,
      (wanted) => taskImageOrigin(wanted, { pluginDir }).kind !== "host",
    );
  } catch (error) {
    driver.log.warn("the config of a recovered task is not valid any more; the task goes on", {
      task: config.name,
      alloc: config.allocId,
      error: errorText(error),
    });
    return undefined;
  }
}
