/** Commands in tasks, through the nomad command line. */

import { run } from "../../../tools/command";
import { nomadAgent } from "../../../tools/setup/nomad";
import type { NomadApi } from "./api";

/** Runs a command in a task and returns its output. @throws CommandFailedError if it fails */
export async function allocExec(
  api: NomadApi,
  allocId: string,
  task: string,
  command: readonly string[],
): Promise<string> {
  const flags = [`-address=${api.address}`, `-task=${task}`, "-i=false", "-t=false"];
  return (await run([await nomadAgent(), "alloc", "exec", ...flags, allocId, ...command])).stdout;
}
