import { readJournal, sinceStart } from "./journal";
import type { UnitState } from "./unit-state";

/** SD_MESSAGE_UNIT_OUT_OF_MEMORY (sd-messages.h): PID 1 saw that the kernel killed a process of a unit for memory. */
const outOfMemory = "fe6faa94e7774663a0da52717891d8ef";

/** The journalctl arguments that select what PID 1 wrote of memory that ran out in a unit since its process started. */
export function oomArguments(unit: string, state: Pick<UnitState, "startedAt">): string[] {
  return [sinceStart(state.startedAt), "--output=cat", "_PID=1", `MESSAGE_ID=${outOfMemory}`, `UNIT=${unit}`];
}

/**
 * Whether the kernel killed a process of a unit for memory, by the journal: the unit's own Result tells it only with another
 * OOMPolicy=, its cgroup is gone, and nobody may have watched, where the plugin was away at that time.
 */
export async function ranOutOfMemory(unit: string, state: UnitState): Promise<boolean> {
  if (state.execMainPid === 0) return false;
  return (await readJournal(oomArguments(unit, state))) !== "";
}
