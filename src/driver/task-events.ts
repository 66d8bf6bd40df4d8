import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DriverTaskEventSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { oomSentence } from "../task/oom-monitor";
import type { Task } from "../task/task";
import type { Driver } from "./driver";

/** Tells the users of a task something. */
export function tellEvent(
  driver: Driver,
  task: Task,
  message: string,
  annotations: Readonly<Record<string, string>> = {},
): void {
  const { id, name, allocId } = task.identity;
  driver.events.emit({ taskId: id, allocId, taskName: name, at: Date.now(), message, annotations });
}

/** Tells a task's users when memory runs out, logs its end, and tells why where systemd-nspawn said so. */
export function watchTask(driver: Driver, task: Task): void {
  task.onOutOfMemory((state) => {
    const annotations = { oom_kills: String(state.kills) };
    tellEvent(driver, task, oomSentence(state), annotations);
  });
  task.ended.then(({ code, signal, oomKilled, message }) => {
    driver.log.info("container ended", {
      task: task.identity.name,
      alloc: task.identity.allocId,
      machine: task.supervised.ref.machine,
      exit_code: code,
      signal,
      oom_killed: oomKilled,
    });
    if (message !== undefined) tellEvent(driver, task, `systemd-nspawn: ${message}`);
  });
}

/** The driver's events as the agent reads them. */
export async function* taskEvents(
  driver: Driver,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof DriverTaskEventSchema>> {
  for await (const { taskId, allocId, taskName, at, message, annotations } of driver.events.listen(signal)) {
    yield { taskId, allocId, taskName, timestamp: timestampFromMs(at), message, annotations: { ...annotations } };
  }
}
