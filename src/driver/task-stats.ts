import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type {
  TaskStatsRequest,
  TaskStatsResponseSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { AsyncQueue } from "../lib/async-queue";
import { type ContainerCgroups, findContainerCgroups, readFigures } from "../linux/cgroup/membership";
import { cpuClock } from "../linux/proc";
import { type Sample, taskUsage } from "../task/stats";
import type { Task } from "../task/task";
import type { Services } from "./services";

type Response = MessageInitShape<typeof TaskStatsResponseSchema>;

/**
 * Yields a task's usage periodically until the task exits or the caller disconnects. Samples are not queued for a slow caller:
 * it gets the latest one.
 */
export async function* taskStats(
  services: Services,
  { taskId, collectionInterval }: TaskStatsRequest,
  signal: AbortSignal,
): AsyncGenerator<Response> {
  const task = services.tasks.get(taskId);
  const asked = collectionInterval === undefined ? 0 : durationMs(collectionInterval);
  const interval = Math.max(asked, services.config.options.stats_interval);
  const meter = new Meter(task);
  const clock = cpuClock();
  let last = meter.sample();
  const latest = new AsyncQueue<Response>(1);
  const stopTicks = services.statsTicker.every(interval, () => {
    const now = meter.sample();
    latest.push({
      stats: { id: taskId, timestamp: timestampFromMs(Date.now()), aggResourceUsage: taskUsage(last, now, clock) },
    });
    last = now;
  });
  const stopWatching = latest.endWith(signal);
  task.ended.then(() => latest.end());
  try {
    yield* latest;
  } finally {
    stopTicks();
    stopWatching();
  }
}

/** Reads one task's cgroups; they are looked up again only when its systemd-nspawn process has changed. */
class Meter {
  #mainPid: number | undefined;
  #cgroups: ContainerCgroups = { legacy: new Map() };

  constructor(private readonly task: Task) {}

  sample(): Sample {
    const { container } = this.task;
    const pid = container.mainPid();
    if (pid !== undefined && pid !== this.#mainPid) {
      this.#cgroups = findContainerCgroups(pid, container.ref.machine);
      this.#mainPid = pid;
    }
    return { figures: readFigures(this.#cgroups), at: performance.now() };
  }
}
