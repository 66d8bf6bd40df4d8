import { errorText } from "../lib/errors";
import { decodeWaitStatus } from "../linux/pidfd";
import { SIGKILL, signalName, signalNumber } from "../values/signals";
import type { Exit, PayloadMode } from "./payload";

/** Exit code of a shell whose command was killed, and of programs that pass it on. */
const KILLED = 128 + SIGKILL;
/** Exit code of the stub init for a payload that was killed by a signal (nspawn-stub-pid1.c, EXIT_EXCEPTION). */
const STUB_EXCEPTION = 255;

/**
 * Whether a container's exit may be an OOM kill: a task that exits in another way after one of its processes was OOM-killed
 * has exited for another reason.
 */
export function mayBeOomKill({ code, signal }: Pick<Exit, "code" | "signal">, mode: PayloadMode): boolean {
  return signal === SIGKILL || code === KILLED || (mode === "pid2" && code === STUB_EXCEPTION);
}

/**
 * Whether an exit can only be described with systemd-nspawn's messages: it failed, or a signal ended the container's PID 1, and neither
 * the kernel nor the driver's own kill says which.
 */
export function needsMessages(ending: Omit<ExitFacts, "stderrTail">): boolean {
  const { nspawn, payloadStatus, payloadSeen, killed } = ending;
  if (!("code" in nspawn) || nspawn.code !== FAILURE || killed) return false;
  if (payloadStatus === undefined || !payloadSeen || ending.mode === "boot") return true;
  // A container that powers off or reboots has these in its status too: payloadSignal().
  return [SIGINT, SIGHUP].includes(decodeWaitStatus(payloadStatus).signal);
}

/** The facts about the exit of a container. */
export interface ExitFacts {
  readonly machine: string;
  readonly mode: PayloadMode;
  /** The exit code of systemd-nspawn itself, or the signal that killed it. */
  readonly nspawn: { readonly code: number } | { readonly signal: number };
  /** Wait status of the payload, if the kernel reports it (Linux 6.15). */
  readonly payloadStatus?: number | undefined;
  /** Whether the payload was observed to have executed its own program. */
  readonly payloadSeen: boolean;
  /** The end of standard error, written by systemd-nspawn or by the payload. */
  readonly stderrTail: string;
  readonly oomKills: number;
  /**
   * Whether the driver killed the container: if it was still starting, systemd-nspawn then reports a failure; and the exit is not an
   * OOM kill, even if the kernel killed one of its processes before.
   */
  readonly killed: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

const SIGHUP = 1;
const SIGINT = 2;
/** systemd-nspawn's exit code when it failed, and when a signal killed the container's PID 1 (nspawn.c, wait_for_container). */
const FAILURE = 1;
/** systemd-nspawn's exit code for a container that reboots, with --keep-unit (nspawn.c, EXIT_FORCE_RESTART). */
export const RESTART = 133;
const MAX_MESSAGE = 500;
/** systemd-nspawn may print cleanup errors after the line with the signal, a few lines at most. */
const LAST_LINES = 8;
/**
 * Its message when the child that sets the container up has failed, or the child's when it has failed itself; the other one has the reason
 * (nspawn.c, run_container() and inner_child()).
 */
const CONSEQUENCE = /^Short read while reading|^(?:Child|Parent) died too early|^Failed to read .* from outer child/;
const CLEANUP = /^Attempted to remove disk file system|^Can(?:not|'t) remove .*ignoring/;

/**
 * The container's exit status. systemd-nspawn exits with the payload's exit code, but has no code for a signal: it exits with 1 and
 * writes "Container NAME terminated by signal KILL.", or, with a stub init, exits with 255 without a message. So
 * the kernel's own record of the payload is used first, then that line. If both are missing (mode "pid2" before
 * Linux 6.15, or a payload that exited before it was observed), a signal is reported as code 255.
 */
export function decodeExit(ending: ExitFacts): Exit {
  const { nspawn, at } = ending;
  if ("signal" in nspawn) {
    const message = `systemd-nspawn itself was killed by ${signalName(nspawn.signal)}.`;
    return { ...outcome(ending, 0, nspawn.signal), message, at };
  }
  const code = payloadCode(ending, nspawn.code) ?? nspawn.code;
  const printed = code === FAILURE ? printedSignal(ending) : undefined;
  // Includes a container that was about to be restarted after a reboot.
  const unfinished = code === FAILURE || (ending.mode === "boot" && code === RESTART);
  const killed = unfinished && ending.killed ? SIGKILL : 0;
  const sentence = code === FAILURE && !ending.payloadSeen ? lastSentence(ending.stderrTail) : "";
  // A systemd-nspawn that fails kills the container's PID 1, which then has not run the task's program; the reason is its message.
  const failed = sentence !== "" && !ending.killed;
  const signal = printed ?? (failed ? 0 : (payloadSignal(ending, code) ?? killed));
  if (signal !== 0) return { ...outcome(ending, 0, signal), at };
  const message = sentence === "" ? {} : { message: sentence };
  return { ...outcome(ending, code, 0), ...message, at };
}

function outcome(
  { mode, oomKills, killed }: ExitFacts,
  code: number,
  signal: number,
): Pick<Exit, "code" | "signal" | "oomKilled"> {
  return { code, signal, oomKilled: oomKills > 0 && !killed && mayBeOomKill({ code, signal }, mode) };
}

/** The last line with the reason of a failed start, without colour codes, shortened to fit a task event. */
export function lastSentence(text: string): string {
  const lines = linesOf(text).filter((line) => !CLEANUP.test(line));
  return (lines.findLast((line) => !CONSEQUENCE.test(line)) ?? lines.at(-1) ?? "").slice(0, MAX_MESSAGE);
}

function linesOf(text: string): readonly string[] {
  return Bun.stripANSI(text)
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/**
 * The payload's own exit code if systemd-nspawn exited with 1: systemd-nspawn treats a payload's code of 133, its own code for a
 * reboot, as a failure (measured with 252 and 257).
 */
function payloadCode({ mode, payloadStatus }: ExitFacts, code: number): number | undefined {
  if (payloadStatus === undefined || mode === "boot" || code !== FAILURE) return undefined;
  const payload = decodeWaitStatus(payloadStatus);
  return payload.signal === 0 ? payload.code : undefined;
}

function printedSignal({ stderrTail, machine }: ExitFacts): number | undefined {
  const prefix = `Container ${machine} terminated by signal `;
  const line = linesOf(stderrTail)
    .slice(-LAST_LINES)
    .findLast((candidate) => candidate.startsWith(prefix) && candidate.endsWith("."));
  return line === undefined ? undefined : signalNumber(line.slice(prefix.length, -1));
}

/**
 * The signal in the payload's wait status. PID 1 of a PID namespace is "killed" by SIGINT and SIGHUP when the container
 * powers off and reboots (reboot(2)): those signals are not reported, and systemd-nspawn's code is right.
 */
function payloadSignal({ mode, payloadStatus }: ExitFacts, code: number): number | undefined {
  if (payloadStatus === undefined) return undefined;
  const { signal } = decodeWaitStatus(payloadStatus);
  if (signal === 0) return undefined;
  if (mode === "pid2") return code === STUB_EXCEPTION ? signal : undefined;
  return signal === SIGINT || signal === SIGHUP ? undefined : signal;
}

/** The exit of a container whose exit status cannot be read: it counts as killed. */
export function lostExit(error: unknown): Exit {
  return { code: 0, signal: SIGKILL, oomKilled: false, message: errorText(error), at: Date.now() };
}
