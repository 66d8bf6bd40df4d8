import { signalNumber } from "../host/signals";
import type { PayloadMode } from "../supervisor/supervisor";

/** Nomad's documented default of kill_signal. */
const defaultSignal = "SIGINT";
/** The orderly shutdown of systemd as PID 1, and systemd-nspawn's own --kill-signal= when it boots (systemd(1)). */
const halt = "SIGRTMIN+3";
/**
 * Signals that mean "end" to a process, but something else to an init system: to systemd SIGTERM is "re-execute yourself",
 * SIGINT "reboot" and SIGHUP "reload" (systemd(1)).
 */
const endSignals = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"];

/**
 * The signal that stops a task.
 *
 * @param requested the task's kill_signal, or "" where the job names none
 * @throws Error for a name that is no signal
 */
export function stopSignal(mode: PayloadMode, requested: string): number {
  const name = requested === "" ? defaultSignal : requested;
  const number = requireSignal(name);
  const meansEnd = endSignals.some((end) => signalNumber(end) === number);
  return mode === "boot" && meansEnd ? requireSignal(halt) : number;
}

/**
 * The number of a signal by its name.
 *
 * @throws Error for a name that is no signal
 */
export function requireSignal(name: string): number {
  const number = signalNumber(name);
  if (number === undefined) {
    throw new Error(`"${name}" is no signal of Linux: use a name such as "SIGTERM" or "SIGRTMIN+3".`);
  }
  return number;
}
