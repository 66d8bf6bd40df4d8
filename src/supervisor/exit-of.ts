import { SIGKILL, signalName, signalNumber } from "../host/signals";
import { looksKilled, STUB_EXCEPTION } from "./looks-killed";
import type { Exit, PayloadMode } from "./supervisor";

/** What a supervising process knows about an end. */
export interface Ending {
  readonly machine: string;
  readonly mode: PayloadMode;
  /** How systemd-nspawn itself ended: an exit code, or the signal that ended it. */
  readonly nspawn: { readonly code: number } | { readonly signal: number };
  /** Wait status of the payload, where the kernel told it (Linux 6.15). */
  readonly payloadStatus?: number | undefined;
  /** Whether the payload was seen to run its own program. */
  readonly payloadSeen: boolean;
  /** The last that was written to standard error, by systemd-nspawn or by the payload. */
  readonly lastWords: string;
  readonly oomKills: number;
  /**
   * Whether the driver killed the container: one in the middle of its start ends with a failure then, and it is no longer the kernel's
   * doing that kills for memory, which may have killed a process of it before.
   */
  readonly killed: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

const SIGHUP = 1;
const SIGINT = 2;
/** systemd-nspawn's code when it failed, and when a signal ended the container's PID 1 (nspawn.c, wait_for_container). */
const FAILURE = 1;
/** systemd-nspawn's code for a container that reboots, with --keep-unit (nspawn.c, EXIT_FORCE_RESTART). */
export const RESTART = 133;
const MAX_MESSAGE = 500;
/** systemd-nspawn complains about its cleaning up after the line that tells the end, a few lines at most. */
const LAST_LINES = 8;
/** What it says when the child that sets the container up has failed; that one's own words tell why (nspawn.c, run_container). */
const CONSEQUENCE = /^Short read while reading|^Child died too early|^Failed to read .* from outer child/;
const CLEANUP = /^Attempted to remove disk file system|^Can(?:not|'t) remove .*ignoring/;

/**
 * How the container ended. systemd-nspawn passes the payload's code on, but has no code for a signal: it exits with 1 and
 * writes "Container NAME terminated by signal KILL.", or, with a stub init, exits with 255 without a word. So
 * the kernel's own record of the payload comes first, then that line. Where both are missing (mode "pid2" before
 * Linux 6.15, or a payload that ended faster than it could be looked at) a signal is reported as code 255.
 */
export function exitOf(ending: Ending): Exit {
  const { nspawn, at } = ending;
  if ("signal" in nspawn) {
    const message = `systemd-nspawn itself was ended by ${signalName(nspawn.signal)}.`;
    return { ...outcome(ending, 0, nspawn.signal), message, at };
  }
  const code = payloadCode(ending, nspawn.code) ?? nspawn.code;
  const told = code === FAILURE ? signalInWords(ending) : undefined;
  // Also of one that was about to be started again.
  const unfinished = code === FAILURE || (ending.mode === "boot" && code === RESTART);
  const killed = unfinished && ending.killed ? SIGKILL : 0;
  const signal = told ?? payloadSignal(ending, code) ?? killed;
  if (signal !== 0) return { ...outcome(ending, 0, signal), at };
  const words = code === FAILURE && !ending.payloadSeen ? lastSentence(ending.lastWords) : "";
  const message = words === "" ? {} : { message: words };
  return { ...outcome(ending, code, 0), ...message, at };
}

function outcome(
  { mode, oomKills, killed }: Ending,
  code: number,
  signal: number,
): Pick<Exit, "code" | "signal" | "oomKilled"> {
  return { code, signal, oomKilled: oomKills > 0 && !killed && looksKilled({ code, signal }, mode) };
}

/** The last line that tells why a start failed, without a terminal's colours, shortened to what fits an event. */
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
 * The payload's own exit code where systemd-nspawn ended with 1: a code of 133, which is its own word for a reboot, it takes for a
 * failure (measured with 252 and 257).
 */
function payloadCode({ mode, payloadStatus }: Ending, code: number): number | undefined {
  const exited = payloadStatus !== undefined && (payloadStatus & 0x7f) === 0;
  return exited && mode !== "boot" && code === FAILURE ? (payloadStatus >> 8) & 0xff : undefined;
}

function signalInWords({ lastWords, machine }: Ending): number | undefined {
  const prefix = `Container ${machine} terminated by signal `;
  const line = linesOf(lastWords)
    .slice(-LAST_LINES)
    .findLast((candidate) => candidate.startsWith(prefix) && candidate.endsWith("."));
  return line === undefined ? undefined : signalNumber(line.slice(prefix.length, -1));
}

/**
 * The signal in the payload's wait status. PID 1 of a PID namespace is "killed" by SIGINT and SIGHUP when the container
 * powers off and reboots (reboot(2)): those are no signals to report, and systemd-nspawn's code is right.
 */
function payloadSignal({ mode, payloadStatus }: Ending, code: number): number | undefined {
  if (payloadStatus === undefined) return undefined;
  const signal = payloadStatus & 0x7f;
  if (signal === 0) return undefined;
  if (mode === "pid2") return code === STUB_EXCEPTION ? signal : undefined;
  return signal === SIGINT || signal === SIGHUP ? undefined : signal;
}
