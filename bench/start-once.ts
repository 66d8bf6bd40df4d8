import type { DriverClient } from "../test/support/driver-client";
import { prepareTask, type TaskSpec } from "../test/support/task";

/** The line that a measured container prints first. */
const UP_LINE = "up\n";

/** Milliseconds from the call of StartTask to the container's first output; the task is destroyed afterwards. */
export async function startOnce(client: DriverClient, spec: TaskSpec): Promise<number> {
  await using task = await prepareTask(spec);
  try {
    const start = performance.now();
    await client.startTask(task.config);
    await task.stdout.waitFor(UP_LINE);
    return performance.now() - start;
  } finally {
    await client.destroyTask(task.id, true);
  }
}
