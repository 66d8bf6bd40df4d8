import type { RecoverTaskRequest } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { removeContainerFiles } from "../task/files";
import { decodeTaskState } from "../task/handle";
import { Task } from "../task/task";
import type { Driver } from "./driver";
import { watchExit } from "./task-events";

/** Finds a task again that an earlier plugin process, or this one, started: running, or ended meanwhile. */
export async function recoverTask(driver: Driver, { taskId, handle }: RecoverTaskRequest): Promise<void> {
  // An agent that was killed finds the plugin process it had, which knows its tasks.
  if (driver.tasks.has(taskId)) return;
  const config = handle?.config;
  if (handle === undefined || config === undefined) throw new Error("RecoverTask came without a handle.");
  const { ref, startedAt } = decodeTaskState(handle.driverState);
  const task = await driver.tasks.add(taskId, async () => {
    const supervised = await driver.supervisorNamed(ref.supervisor).attach(ref);
    const identity = { id: taskId, name: config.name, allocId: config.allocId };
    return new Task(identity, supervised, startedAt, () => removeContainerFiles(ref.machine));
  });
  driver.log.info("container recovered", { task: config.name, alloc: config.allocId, machine: ref.machine });
  watchExit(driver, task);
}
