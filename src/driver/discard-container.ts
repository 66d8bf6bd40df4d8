import { systemdPresence } from "../host/systemd-booted";
import { releaseContainer } from "../task/release";
import type { Driver } from "./driver";

/**
 * Ends a container that nobody has a handle of, whoever supervises it, and removes everything of it. Does nothing where there is
 * nothing.
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
