import { SIGKILL } from "../host/signals";
import type { Exit, PayloadMode } from "./supervisor";

/** Exit code of a shell whose command was killed, and of what passes it on. */
const KILLED = 128 + SIGKILL;
/** Code of the stub init for a payload that a signal ended (nspawn-stub-pid1.c, EXIT_EXCEPTION). */
export const STUB_EXCEPTION = 255;

/**
 * Whether a container's end may be the kernel's doing, that kills for memory: a task that ends otherwise after one of its
 * processes was killed has ended for reasons of its own.
 */
export function looksKilled({ code, signal }: Pick<Exit, "code" | "signal">, mode: PayloadMode): boolean {
  return signal === SIGKILL || code === KILLED || (mode === "pid2" && code === STUB_EXCEPTION);
}
