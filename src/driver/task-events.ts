import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DriverTaskEventSchema, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { ImageProgress } from "../image/source";
import { recordEvent } from "../machine/event-log";
import { machineName } from "../nspawn/machine-name";
import type { Exit } from "../nspawn/payload";
import { oomSentence } from "../task/oom-monitor";
import { type ProgressNote, ProgressNotes } from "../task/pull-progress";
import type { Task, TaskIdentity } from "../task/task";
import { signalName } from "../values/signals";
import type { Services } from "./services";

/** The identity of the task that a config describes. */
export function taskIdentity({ id, name, allocId }: Pick<TaskConfig, "id" | "name" | "allocId">): TaskIdentity {
  return { id, name, allocId };
}

/** Nomad's names of the task that a config describes, as log lines and traces have them. */
export function taskFields(config: Pick<TaskConfig, "name" | "allocId" | "jobId" | "jobName" | "namespace">) {
  const { name: task, allocId: alloc, jobId, jobName, namespace } = config;
  // Agents before Nomad 1.2 send only the job's name.
  return { task, alloc, job: jobId || jobName, namespace };
}

/** Emits a task event, which `nomad alloc status` shows, and the command `events` on the client. */
export function emitEvent(
  services: Services,
  { id, name, allocId }: TaskIdentity,
  message: string,
  annotations: Readonly<Record<string, string>> = {},
): void {
  const at = Date.now();
  services.events.emit({ taskId: id, allocId, taskName: name, at, message, annotations });
  recordEvent(machineName(name, allocId), { at, message });
}

/** How often the progress of a download is checked, also if it stalls; milliseconds. */
const PROGRESS_INTERVAL_MS = 500;

/** Emits events about the download of the image of a task that is being started, until it is disposed of. */
export function reportPullProgress(services: Services, identity: TaskIdentity) {
  let notes: ProgressNotes | undefined;
  let last: ImageProgress | undefined;
  let timer: NodeJS.Timeout | undefined;
  const emit = (note: ProgressNote | undefined) => {
    if (note !== undefined) emitEvent(services, identity, note.message, note.annotations);
  };
  return {
    update: (progress: ImageProgress): void => {
      notes ??= new ProgressNotes(progress.image, performance.now());
      last = progress;
      timer ??= setInterval(() => {
        if (last !== undefined) emit(notes?.update(last, performance.now()));
      }, PROGRESS_INTERVAL_MS);
    },
    /** The download is complete. */
    finish: (): void => {
      if (last !== undefined) emit(notes?.finish(last, performance.now()));
    },
    [Symbol.dispose]: (): void => clearInterval(timer),
  };
}

/** Emits an event for each OOM kill, logs the exit, and emits systemd-nspawn's error message if it printed one. */
export function forwardTaskEvents(services: Services, task: Task): void {
  const { metrics } = services;
  task.container.onRestart(() => metrics.add("nomad_nspawn_reboots_total", {}));
  task.onOutOfMemory((state, more) => {
    metrics.add("nomad_nspawn_oom_kills_total", {}, more);
    const annotations = { oom_kills: String(state.kills) };
    emitEvent(services, task.identity, oomSentence(state), annotations);
  });
  task.ended.then((exit) => {
    const { at, code, signal, oomKilled, message } = exit;
    metrics.add("nomad_nspawn_exits_total", { cause: exitCause(exit, task.overLimit !== undefined) });
    services.log.info("container ended", {
      machine: task.container.ref.machine,
      exit_code: code,
      signal,
      oom_killed: oomKilled,
    });
    if (message !== undefined)
      emitEvent(services, task.identity, message === task.overLimit ? message : `systemd-nspawn: ${message}`);
    // Not an event for the agent, which has one of its own.
    recordEvent(task.container.ref.machine, { at, message: exitSentence(code, signal) });
  });
}

/** Why a task has ended. @param overLimit whether the driver killed it for storage_limit */
export function exitCause(
  { code, signal, oomKilled }: Pick<Exit, "code" | "signal" | "oomKilled">,
  overLimit: boolean,
) {
  if (overLimit) return "storage_limit";
  if (oomKilled) return "oom";
  if (signal !== 0) return "signal";
  return code === 0 ? "success" : "failure";
}

function exitSentence(code: number, signal: number): string {
  return signal === 0 ? `Exited with code ${code}` : `Killed by ${signalName(signal)}`;
}

/** The driver's events in the protocol's format. */
export async function* taskEvents(
  services: Services,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof DriverTaskEventSchema>> {
  for await (const { taskId, allocId, taskName, at, message, annotations } of services.events.listen(signal)) {
    yield { taskId, allocId, taskName, timestamp: timestampFromMs(at), message, annotations: { ...annotations } };
  }
}
