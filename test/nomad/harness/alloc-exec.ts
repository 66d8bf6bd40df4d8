/** Commands in tasks, through the nomad command line. */

import { CommandFailedError, run } from "../../../tools/command";
import { nomadAgent } from "../../../tools/setup/nomad";
import type { NomadApi } from "./api";

/** What the agent says while it starts the plugin again, and when the plugin is killed in the middle of a request. */
const GONE = ["plugin is shut down", "unexpected EOF"] as const;
/** How often to retry while the agent has not started a killed plugin again, and the pause between. */
const RESTARTS = { tries: 50, pauseMs: 200 };

/** Runs a command in a task and returns its output. @throws CommandFailedError if it fails */
export async function allocExec(
  api: NomadApi,
  allocId: string,
  task: string,
  command: readonly string[],
): Promise<string> {
  const flags = [`-address=${api.address}`, `-task=${task}`, "-i=false", "-t=false"];
  const argv = [await nomadAgent(), "alloc", "exec", ...flags, allocId, ...command];
  for (let tries = 1; ; tries += 1) {
    try {
      return (await run(argv)).stdout;
    } catch (error) {
      const restarting =
        error instanceof CommandFailedError && GONE.some((part) => error.finished.stderr.includes(part));
      if (!restarting || tries === RESTARTS.tries) throw error;
      await Bun.sleep(RESTARTS.pauseMs);
    }
  }
}
