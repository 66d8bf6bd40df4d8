/** Commands in tasks, by the program that users have. */

import { run } from "../../../scripts/command";
import { nomadAgent } from "../../../scripts/setup/nomad";
import type { NomadApi } from "./api";

/** Runs a command in a task and gives what it printed. @throws CommandFailedError where it fails */
export async function allocExec(
  api: NomadApi,
  allocId: string,
  task: string,
  command: readonly string[],
): Promise<string> {
  const flags = [`-address=${api.address}`, `-task=${task}`, "-i=false", "-t=false"];
  return (await run([await nomadAgent(), "alloc", "exec", ...flags, allocId, ...command])).stdout;
}
