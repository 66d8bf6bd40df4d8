/** Looking at the unit of a task on a machine with pure cgroup v2. */

import { readFile } from "node:fs/promises";
import { type Fixture, shell } from "../protocol/fixture";
import type { PreparedTask, TaskSpec } from "../support/task";

/** A task and the cgroup of its unit. */
export interface TaskUnit {
  readonly task: PreparedTask;
  /** The unit's directory below /sys/fs/cgroup. */
  readonly directory: string;
  /** The content of one of its files, such as "memory.max". */
  file(name: string): Promise<string>;
}

/** Looks at a running task's unit. */
export async function unitOf(bench: Fixture, task: PreparedTask): Promise<TaskUnit> {
  const { driver } = await bench.client().inspectTask(task.id);
  const directory = `/sys/fs/cgroup/machine.slice/nomad-nspawn-${driver?.attributes["machine"]}.service`;
  return { task, directory, file: async (name) => (await readFile(`${directory}/${name}`, "utf8")).trim() };
}

/** Starts a busybox container that says "up" and stays. */
export async function upUnit(
  bench: Fixture,
  more: Readonly<Record<string, unknown>> = {},
  spec: Partial<TaskSpec> = {},
): Promise<TaskUnit> {
  const task = await bench.started({ ...shell(bench.busybox, "echo up; while :; do sleep 1; done", more), ...spec });
  await task.stdout.waitFor("up");
  return unitOf(bench, task);
}
