/** Looking at options from inside a container. */

import { existsSync } from "node:fs";
import type { TaskSpec } from "../support/task";
import { failure, shell, type Workbench } from "./workbench";

/** Whether the plugin under test supervises by systemd, as it does wherever that is PID 1. */
export const underSystemd: boolean = existsSync("/run/systemd/system");

/**
 * Runs a shell script in a container and gives what it printed on stdout.
 *
 * @param more options of the job's config
 * @param spec what else is different about the task
 * @throws Error with what it printed on stderr when its exit code is not 0
 */
export async function inside(
  bench: Workbench,
  script: string,
  more: Readonly<Record<string, unknown>> = {},
  spec: Partial<TaskSpec> = {},
): Promise<string> {
  const end = await bench.finished({ ...shell(bench.busybox, script, more), ...spec });
  if (end.code !== 0 || end.signal !== 0) {
    throw new Error(`The container ended with code ${end.code} signal ${end.signal}: ${end.err}\n${end.stderr}`);
  }
  return end.stdout;
}

/** The sentence a call fails with, as a Nomad agent reads it; "" for one that succeeds. */
export async function sentence(call: Promise<unknown>): Promise<string> {
  return (await failure(call)).replace(/^2 UNKNOWN: /, "");
}
