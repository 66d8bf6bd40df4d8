import { readJournal, sinceStart } from "./journal";
import type { UnitState } from "./unit-state";

/** SD_MESSAGE_UNIT_OUT_OF_MEMORY (sd-messages.h): PID 1 detected that the kernel OOM-killed a process of a unit. */
const outOfMemory = "fe6faa94e7774663a0da52717891d8ef";

/** The journalctl arguments that select PID 1's OOM messages about a unit since its process started. */
export function oomArguments(unit: string, state: Pick<UnitState, "startedAt">): string[] {
  return [sinceStart(state.startedAt), "--output=cat", "_PID=1", `MESSAGE_ID=${outOfMemory}`, `UNIT=${unit}`];
}

/**
 * Whether the kernel OOM-killed a process of a unit, from the journal: the unit's own Result shows it only with another
 * OOMPolicy=, its cgroup is gone, and if no plugin was running at that time, none watched the cgroup.
 */
export async function ranOutOfMemory(unit: string, state: UnitState): Promise<boolean> {
  if (state.execMainPid === 0) return false;
  return (await readJournal(oomArguments(unit, state))) !== "";
}
