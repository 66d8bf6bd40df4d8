import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DriverTaskEventSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { oomSentence } from "../task/oom-monitor";
import { type ImageProgress, type ProgressNote, ProgressNotes } from "../task/pull-progress";
import type { Task, TaskIdentity } from "../task/task";
import type { Driver } from "./driver";

/** Tells the users of a task something. */
export function tellEvent(
  driver: Driver,
  { id, name, allocId }: TaskIdentity,
  message: string,
  annotations: Readonly<Record<string, string>> = {},
): void {
  driver.events.emit({ taskId: id, allocId, taskName: name, at: Date.now(), message, annotations });
}

/** How often it is looked whether something is to be told of a download, also of one that stands still; milliseconds. */
const lookAtProgressMs = 500;

/** Tells the users of a task that is being started how far the download of its image is, until it is disposed of. */
export function tellProgress(driver: Driver, identity: TaskIdentity) {
  let notes: ProgressNotes | undefined;
  let last: ImageProgress | undefined;
  let timer: NodeJS.Timeout | undefined;
  const tell = (note: ProgressNote | undefined) => {
    if (note !== undefined) tellEvent(driver, identity, note.message, note.annotations);
  };
  return {
    update: (progress: ImageProgress): void => {
      notes ??= new ProgressNotes(progress.image, performance.now());
      last = progress;
      timer ??= setInterval(() => {
        if (last !== undefined) tell(notes?.update(last, performance.now()));
      }, lookAtProgressMs);
    },
    /** The image is there. */
    finish: (): void => {
      if (last !== undefined) tell(notes?.finish(last, performance.now()));
    },
    [Symbol.dispose]: (): void => clearInterval(timer),
  };
}

/** Tells a task's users when memory runs out, logs its end, and tells why where systemd-nspawn said so. */
export function watchTask(driver: Driver, task: Task): void {
  task.onOutOfMemory((state) => {
    const annotations = { oom_kills: String(state.kills) };
    tellEvent(driver, task.identity, oomSentence(state), annotations);
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
    if (message !== undefined) tellEvent(driver, task.identity, `systemd-nspawn: ${message}`);
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
