import type { DestroyTaskRequest } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { Driver } from "../runtime/driver";

/** Removes everything of a task; of a running task only with `force`. */
export async function destroyTask(driver: Driver, { taskId, force }: DestroyTaskRequest): Promise<void> {
  const task = driver.tasks.get(taskId);
  if (task.life === "running" && !force) throw new Error("cannot destroy running task");
  await task.destroy();
  driver.tasks.delete(taskId);
}
