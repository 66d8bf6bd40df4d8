import { systemState } from "../launch/system-state";
import { aborted, settles } from "../lib/deadline";
import { errorText } from "../lib/errors";
import type { Task } from "../task/task";
import type { Services } from "./services";
import { emitEvent } from "./task-events";

/**
 * How long a start waits for the container's program. An agent cannot stop a task whose start has not returned (Nomad 1.6.1,
 * task_runner.go, runDriver()), so a longer preparation is reported by events instead.
 */
const SLOW_START_MS = 10_000;

/**
 * Waits until the program of a task runs, or has ended already. If systemd-nspawn prepares the container for longer than ten seconds, an
 * event says so, and a second one that the program runs.
 *
 * @param preparing see preparationNote()
 * @param signal ends the wait; the container keeps running
 */
export async function untilRunning(
  services: Services,
  task: Task,
  preparing: string,
  signal: AbortSignal,
): Promise<void> {
  const { started, ref } = task.container;
  if ((await settles(Promise.race([started, aborted(signal)]), SLOW_START_MS)) || signal.aborted) return;
  const waiting = `The task's program does not run yet: systemd-nspawn has been preparing the container for ${SLOW_START_MS / 1000} s. It may be ${preparing}. Another event follows when the program runs.`;
  emitEvent(services, task.identity, waiting);
  services.log.warn("container is still being prepared", { machine: ref.machine });
  started.then(() => {
    if (task.exit !== undefined) return;
    const seconds = Math.round((Date.now() - task.startedAt) / 1000);
    emitEvent(services, task.identity, `The task's program runs now; preparing the container took ${seconds} s`);
  });
}

/** Emits an event about a booted system that is up: whether units of it have failed. The start does not wait for it. */
export function reportSystem(services: Services, task: Task): void {
  systemState(task.container).then((sentence) => {
    if (sentence !== undefined && task.exit === undefined) emitEvent(services, task.identity, sentence);
  });
}

/** Emits an event if a firewall of the client drops the packets of a task's private network. The start does not wait for it. */
export function reportDroppedPackets(services: Services, task: Task): void {
  const prefixes = { veth: "ve-", zone: "vz-", bridge: undefined, lan: undefined, none: undefined } as const;
  const prefix = prefixes[task.network?.link ?? "none"];
  if (prefix === undefined) return;
  services.forwardPolicy.problem(prefix).then(
    (sentence) => {
      if (sentence !== undefined) emitEvent(services, task.identity, sentence);
    },
    (error: unknown) =>
      services.log.debug("cannot read the firewall's chains", {
        machine: task.container.ref.machine,
        error: errorText(error),
      }),
  );
}
