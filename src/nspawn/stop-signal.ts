import { signalName, signalNumber } from "../values/signals";
import type { PayloadMode } from "./payload";

/** What Docker, podman and programs themselves expect. Nomad passes nothing unless the job has a kill_signal. */
const DEFAULT_SIGNAL = "SIGTERM";
/** The orderly shutdown of systemd as PID 1, and systemd-nspawn's own --kill-signal= when it boots (systemd(1)). */
const HALT = "SIGRTMIN+3";
/**
 * Signals that terminate an ordinary process, but have another meaning for an init system: systemd re-executes itself on SIGTERM,
 * reboots on SIGINT and reloads on SIGHUP (systemd(1)).
 */
const END_SIGNALS = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"];

/**
 * The signal that stops a task.
 *
 * @param requested the task's kill_signal, or "" if the job sets none
 * @throws Error for an unknown signal
 */
export function stopSignal(mode: PayloadMode, requested: string): number {
  const name = requested === "" ? DEFAULT_SIGNAL : requested;
  const number = requireSignal(name);
  const terminates = END_SIGNALS.some((end) => signalNumber(end) === number);
  return mode === "boot" && terminates ? requireSignal(HALT) : number;
}

/**
 * The name of the signal that systemd-nspawn sends to PID 1 of the container if it gets SIGTERM itself: a stop of
 * systemd-nspawn is then an orderly stop of the program. Without it systemd-nspawn kills a single command at once. The stub init of "pid2"
 * gets SIGTERM, which it never acts on (nspawn-stub-pid1.c): systemd-nspawn then only waits for the payload.
 *
 * @param requested the image's StopSignal, or ""
 * @throws Error for an unknown signal
 */
export function forwardedSignal(mode: PayloadMode, requested: string): string {
  return mode === "pid2" ? "SIGTERM" : signalName(stopSignal(mode, requested));
}

/** The number of a signal. @throws Error for an unknown signal */
export function requireSignal(name: string): number {
  const number = signalNumber(name);
  if (number === undefined) {
    throw new Error(`Unknown signal "${name}": use a name such as "SIGTERM" or "SIGRTMIN+3".`);
  }
  return number;
}
