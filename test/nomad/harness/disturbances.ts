/** Faults of a client while its tasks run. */

import type { Nomad } from "./nomad";

/** Kills the plugin with -9; the agent starts another, which recovers the tasks. */
export async function killPlugin(nomad: Nomad): Promise<void> {
  const client = nomad.client();
  process.kill(await nomad.pluginPid(), "SIGKILL");
  await client.log.waitFor("container recovered", 60_000);
}

/** Ends the agent, as planned (SIGINT) or not (SIGKILL), and starts it again. */
export async function restartAgent(nomad: Nomad, signal: "SIGINT" | "SIGKILL"): Promise<void> {
  await nomad.stopClient(signal);
  await nomad.startClient();
}
