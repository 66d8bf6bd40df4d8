import type { Exit, PayloadMode } from "../supervisor";
import { readJournal, sinceStart } from "./journal";
import type { UnitState } from "./unit-state";

/** SD_MESSAGE_UNIT_OUT_OF_MEMORY (sd-messages.h): PID 1 saw that the kernel killed a process of a unit for memory. */
const outOfMemory = "fe6faa94e7774663a0da52717891d8ef";
const SIGKILL = 9;
/** Exit code of a shell whose command was killed, and of what passes it on. */
const KILLED = 128 + SIGKILL;
/** Code of the stub init for a payload that a signal ended (nspawn-stub-pid1.c, EXIT_EXCEPTION). */
const STUB_EXCEPTION = 255;

/** Whether a container's end may be the kernel's doing. */
export function looksKilled({ code, signal }: Pick<Exit, "code" | "signal">, mode: PayloadMode): boolean {
  return signal === SIGKILL || code === KILLED || (mode === "pid2" && code === STUB_EXCEPTION);
}

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
