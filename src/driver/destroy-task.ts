import type { DestroyTaskRequest } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { Services } from "./services";

/** Removes everything of a task, of a running one only with `force`. The dangling reconciler retries what could not be removed. */
export async function destroyTask(
  { tasks, dangling, metrics, names }: Pick<Services, "tasks" | "dangling" | "metrics" | "names">,
  { taskId, force }: DestroyTaskRequest,
): Promise<void> {
  await tasks.cancelStart(taskId);
  try {
    const { machine } = tasks.get(taskId).container.ref;
    await tasks.destroy(taskId, { force });
    names.end(machine);
  } catch (error) {
    // The agent does not call again (task_runner.go, clearDriverHandle(), logs the error).
    if (tasks.undestroyed().length > 0) {
      metrics.add("nomad_nspawn_destroy_failures_total", {});
      dangling.schedule();
    }
    throw error;
  }
}
