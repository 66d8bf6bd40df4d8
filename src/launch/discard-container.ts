import type { Driver } from "../runtime/driver";
import { systemdPresence } from "../systemd/presence";
import { releaseContainer } from "./release";

/**
 * Kills a container for which no task handle exists, whichever supervisor started it, and removes everything of it. Does nothing
 * if the container does not exist.
 */
export async function discardContainer(
  { supervisorNamed, log }: Pick<Driver, "supervisorNamed" | "log">,
  machine: string,
): Promise<void> {
  for (const name of ["systemd", "process"] as const) {
    if (name === "process" || systemdPresence().booted) await supervisorNamed(name).discard(machine);
  }
  await releaseContainer(machine, log);
}
