import type { RecoverTaskRequest, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { decodeTaskConfig } from "../config/task/decode";
import type { TaskOptions } from "../config/task/options";
import { parseImageConfig } from "../image/image-config";
import { imageOfRoot } from "../image/store/image-store";
import { execContext } from "../launch/exec-context";
import { releaseContainer } from "../launch/release";
import { errorText } from "../lib/errors";
import { clientOf, containerRoot } from "../machine/files";
import { connectNetwork, recoverNetwork } from "../network/private/private-network";
import { withImageDefaults } from "../rootfs/image-defaults";
import { taskImageOrigin } from "../rootfs/image-ref";
import type { Driver } from "../runtime/driver";
import { Task } from "../task/task";
import { decodeTaskState } from "../task/task-handle";
import { forwardTaskEvents } from "./task-events";

/** Recovers a task that an earlier plugin process, or this one, started; it may be running or have exited meanwhile. */
export async function recoverTask(driver: Driver, { handle }: RecoverTaskRequest): Promise<void> {
  const config = handle?.config;
  if (handle === undefined || config === undefined) throw new Error("RecoverTask: the request has no handle.");
  // The agent leaves the request's own task_id empty (nomad's plugins/drivers/client.go).
  const { id } = config;
  // A restarted agent may reattach to its earlier plugin process, which still has its tasks.
  if (driver.tasks.has(id)) return;
  const { ref, startedAt } = decodeTaskState(handle.driverState);
  driver.dangling.start(clientOf(config));
  const task = await driver.tasks.add(id, ref.machine, async () => {
    const container = await driver.supervisorNamed(ref.supervisor).attach(ref);
    const identity = { id, name: config.name, allocId: config.allocId };
    const { options, stopSignal } = await withImage(config, ref.machine, readableConfig(driver, config));
    const release = async () => {
      await releaseContainer(ref.machine, driver.log);
      driver.images.unused();
    };
    const exec = execContext(config, options);
    const record = await recoverNetwork(ref.machine, driver.log);
    const network =
      record === undefined ? undefined : await connectNetwork(record, ref.mode === "boot", container, driver);
    return new Task({ identity, container, startedAt, exec, network, stopSignal, release });
  });
  driver.log.info("container recovered", { task: config.name, alloc: config.allocId, machine: ref.machine });
  forwardTaskEvents(driver, task);
}

/** Applies the image's defaults to the task's options, as at its start. */
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

/** The task's config; undefined if an earlier version of the driver accepted it and this one does not. */
function readableConfig(driver: Driver, config: TaskConfig): TaskOptions | undefined {
  try {
    const { pluginDir } = driver;
    return decodeTaskConfig(
      config.msgpackDriverConfig,
      (wanted) => taskImageOrigin(wanted, { pluginDir }).kind !== "host",
    );
  } catch (error) {
    driver.log.warn("recovered task has a config that this version rejects; keeping it running with defaults", {
      task: config.name,
      alloc: config.allocId,
      error: errorText(error),
    });
    return undefined;
  }
}
