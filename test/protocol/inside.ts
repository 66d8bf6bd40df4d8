/** Checks options from inside a container. */

import { existsSync } from "node:fs";
import type { TaskSpec } from "../support/task";
import { type Fixture, failure, shell } from "./fixture";

/** Whether the plugin under test uses the systemd supervisor, as it does if systemd is PID 1. */
export const underSystemd: boolean = existsSync("/run/systemd/system");

/**
 * Runs a shell script in a container and returns its stdout.
 *
 * @param more options of the job's config
 * @param spec other changes of the task
 * @throws Error with what it printed on stderr when its exit code is not 0
 */
export async function inside(
  bench: Fixture,
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

/** The error message of a call, as a Nomad agent reads it; "" if it succeeds. */
export async function sentence(call: Promise<unknown>): Promise<string> {
  return (await failure(call)).replace(/^2 UNKNOWN: /, "");
}
