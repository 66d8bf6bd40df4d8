import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DriverTaskEventSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { ImageProgress } from "../lib/progress";
import type { Driver } from "../runtime/driver";
import { oomSentence } from "../task/oom-monitor";
import { type ProgressNote, ProgressNotes } from "../task/pull-progress";
import type { Task, TaskIdentity } from "../task/task";

/** Emits a task event, which `nomad alloc status` shows. */
export function emitEvent(
  driver: Driver,
  { id, name, allocId }: TaskIdentity,
  message: string,
  annotations: Readonly<Record<string, string>> = {},
): void {
  driver.events.emit({ taskId: id, allocId, taskName: name, at: Date.now(), message, annotations });
}

/** How often the progress of a download is checked, also if it stalls; milliseconds. */
const progressIntervalMs = 500;

/** Reports the progress of the image download of a starting task as task events, until it is disposed. */
export function reportPullProgress(driver: Driver, identity: TaskIdentity) {
  let notes: ProgressNotes | undefined;
  let last: ImageProgress | undefined;
  let timer: NodeJS.Timeout | undefined;
  const emit = (note: ProgressNote | undefined) => {
    if (note !== undefined) emitEvent(driver, identity, note.message, note.annotations);
  };
  return {
    update: (progress: ImageProgress): void => {
      notes ??= new ProgressNotes(progress.image, performance.now());
      last = progress;
      timer ??= setInterval(() => {
        if (last !== undefined) emit(notes?.update(last, performance.now()));
      }, progressIntervalMs);
    },
    /** The download is complete. */
    finish: (): void => {
      if (last !== undefined) emit(notes?.finish(last, performance.now()));
    },
    [Symbol.dispose]: (): void => clearInterval(timer),
  };
}

/** Emits an event when a task runs out of memory, logs its exit, and emits systemd-nspawn's error message if it has one. */
export function forwardTaskEvents(driver: Driver, task: Task): void {
  task.onOutOfMemory((state) => {
    const annotations = { oom_kills: String(state.kills) };
    emitEvent(driver, task.identity, oomSentence(state), annotations);
  });
  task.ended.then(({ code, signal, oomKilled, message }) => {
    driver.log.info("container exited", {
      task: task.identity.name,
      alloc: task.identity.allocId,
      machine: task.container.ref.machine,
      exit_code: code,
      signal,
      oom_killed: oomKilled,
    });
    if (message !== undefined) emitEvent(driver, task.identity, `systemd-nspawn: ${message}`);
  });
}

/** The driver's events in the protocol's format. */
export async function* taskEvents(
  driver: Driver,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof DriverTaskEventSchema>> {
  for await (const { taskId, allocId, taskName, at, message, annotations } of driver.events.listen(signal)) {
    yield { taskId, allocId, taskName, timestamp: timestampFromMs(at), message, annotations: { ...annotations } };
  }
}
