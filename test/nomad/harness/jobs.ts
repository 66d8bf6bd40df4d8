/** Runs jobs and reads their results. */

import type { Allocation, NomadApi, TaskEvent, TaskState } from "./api";

/** A job that was submitted and placed. */
export interface RunningJob {
  readonly id: string;
  /** Its allocation. */
  readonly allocId: string;
}

/**
 * Submits a job file and waits until it has an allocation.
 *
 * @throws Error with the evaluation if it is not placed
 */
export async function runJob(
  api: NomadApi,
  hcl: string,
  variables: Readonly<Record<string, string>> = {},
): Promise<RunningJob> {
  const job = await api.parseJob(hcl, variables);
  const evaluation = await api.evaluation(await api.registerJob(job), ({ Status }) => Status !== "pending");
  const [allocation] = await api
    .allocations(job.ID, (found) => found.length > 0)
    .catch((error) => {
      throw new Error(`Job ${job.ID} was not placed: ${Bun.inspect(evaluation, { depth: 8 })}`, { cause: error });
    });
  if (allocation === undefined) throw new Error(`Job ${job.ID} has no allocation.`);
  return { id: job.ID, allocId: allocation.ID };
}

/** State of an allocation's task; undefined before the task was started. */
export function taskState(allocation: Allocation, task: string): TaskState | undefined {
  return allocation.TaskStates?.[task];
}

/** Waits until a task runs; throws an error with the task's events if it died instead. */
export async function untilRunning(api: NomadApi, allocId: string, task: string, timeout?: number): Promise<TaskState> {
  const state = await untilTask(api, allocId, task, ({ State }) => State !== "pending", timeout);
  if (state.State === "running") return state;
  throw new Error(`Task ${task} died instead of running:\n${eventTexts(state).join("\n")}`);
}

/** Waits until a task is dead and will not be restarted. */
export async function untilDead(api: NomadApi, allocId: string, task: string, timeout?: number): Promise<TaskState> {
  return untilTask(api, allocId, task, ({ State }) => State === "dead", timeout);
}

/** Waits until a task's state satisfies the condition. */
export async function untilTask(
  api: NomadApi,
  allocId: string,
  task: string,
  wanted: (state: TaskState) => boolean,
  timeout?: number,
): Promise<TaskState> {
  const fits = (allocation: Allocation) => {
    const state = taskState(allocation, task);
    return state !== undefined && wanted(state);
  };
  const state = taskState(await api.allocation(allocId, fits, timeout), task);
  if (state === undefined) throw new Error(`Allocation ${allocId} has no task ${task}.`);
  return state;
}

/** What `nomad alloc status` shows as the task's events, oldest first: "Type: description". */
export function eventTexts(state: TaskState): string[] {
  return state.Events.map(({ Type, DisplayMessage, DriverMessage }) => `${Type}: ${DisplayMessage || DriverMessage}`);
}

/** The event of the last end of a task: ExitCode, Signal, and Details such as "oom_killed". */
export function lastExit(state: TaskState): TaskEvent {
  const event = state.Events.findLast(({ Type }) => Type === "Terminated");
  if (event === undefined) throw new Error(`The task never ended:\n${eventTexts(state).join("\n")}`);
  return event;
}
