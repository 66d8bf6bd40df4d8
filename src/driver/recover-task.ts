import type { RecoverTaskRequest } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { clientOf } from "../launch/plan";
import { recordEvent } from "../machine/event-log";
import { Task } from "../task/task";
import { decodeTaskState } from "../task/task-handle";
import type { Services } from "./services";
import { forwardTaskEvents, taskFields, taskIdentity } from "./task-events";

/** Recovers a task, and counts that; see recover(). */
export async function recoverTask(services: Services, request: RecoverTaskRequest): Promise<void> {
  let result: "success" | "failure" = "failure";
  try {
    await recover(services, request);
    result = "success";
  } finally {
    services.metrics.add("nomad_nspawn_recoveries_total", { result });
  }
}

/** Recovers a task that an earlier plugin process, or this one, started; it may be running or have exited meanwhile. */
async function recover(services: Services, { handle }: RecoverTaskRequest): Promise<void> {
  const config = handle?.config;
  if (handle === undefined || config === undefined) throw new Error("RecoverTask: the request has no handle.");
  const { tasks, launcher, dangling, log } = services;
  // The agent leaves the request's own task_id empty (nomad's plugins/drivers/client.go).
  const identity = taskIdentity(config);
  // A restarted agent may reattach to its earlier plugin process, which still has its tasks.
  if (tasks.has(identity.id)) return;
  const { ref, startedAt } = decodeTaskState(handle.driverState);
  services.names.learn(ref.machine, taskFields(config));
  dangling.start(clientOf(config));
  dangling.recovered();
  const task = await tasks.add(identity.id, ref.machine, async () => {
    // A container that is being removed is not recovered: its task would end as killed.
    await dangling.settled(ref.machine);
    return new Task(identity, await launcher.attach(config, ref), startedAt);
  });
  log.info("container recovered", { machine: ref.machine });
  recordEvent(ref.machine, { at: Date.now(), message: "Recovered by another process of the plugin" });
  forwardTaskEvents(services, task);
}
