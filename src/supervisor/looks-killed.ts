import { SIGKILL } from "../host/signals";
import type { Exit, PayloadMode } from "./supervisor";

/** Exit code of a shell whose command was killed, and of programs that pass it on. */
const KILLED = 128 + SIGKILL;
/** Exit code of the stub init for a payload that was killed by a signal (nspawn-stub-pid1.c, EXIT_EXCEPTION). */
export const STUB_EXCEPTION = 255;

/**
 * Whether a container's exit may be an OOM kill: a task that exits in another way after one of its processes was OOM-killed
 * has exited for another reason.
 */
export function looksKilled({ code, signal }: Pick<Exit, "code" | "signal">, mode: PayloadMode): boolean {
  return signal === SIGKILL || code === KILLED || (mode === "pid2" && code === STUB_EXCEPTION);
}
