import { constants } from "node:os";

/** Signal numbers by name without SIG, as signal(7) lists them for this machine. */
const BY_NAME = new Map<string, number>(
  Object.entries({ ...constants.signals, SIGCLD: constants.signals.SIGCHLD }).map(([name, number]) => [
    name.slice(3),
    number,
  ]),
);
/** Second names of signals, which are understood but not written. */
const ALIASES: readonly string[] = ["IOT", "CLD", "POLL"];
const BY_NUMBER = new Map<number, string>(
  [...BY_NAME].filter(([name]) => !ALIASES.includes(name)).map(([name, number]) => [number, name]),
);

/** The signal that ends a process at once; it can be neither caught nor ignored. */
export const SIGKILL: number = constants.signals.SIGKILL;

/** glibc reserves 32 and 33, so the first real-time signal for programs is 34. */
const RTMIN = 34;
const RTMAX = 64;

/**
 * The number of a signal written "SIGTERM", "term", "15", "SIGRTMIN+3" or "RTMAX-2"; undefined for anything else.
 * systemd-nspawn itself writes real-time signals as RTMIN+n.
 */
export function signalNumber(name: string): number | undefined {
  const text = name.trim().toUpperCase();
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= RTMAX ? number : undefined;
  }
  const bare = text.startsWith("SIG") ? text.slice(3) : text;
  const known = BY_NAME.get(bare);
  if (known !== undefined) return known;
  const realTime = /^RT(?:(MIN)(?:\+(\d{1,2}))?|(MAX)(?:-(\d{1,2}))?)$/.exec(bare);
  if (realTime === null) return undefined;
  const number = realTime[1] ? RTMIN + Number(realTime[2] ?? 0) : RTMAX - Number(realTime[4] ?? 0);
  return number >= RTMIN && number <= RTMAX ? number : undefined;
}

/** The name of a signal, "SIGTERM" or "SIGRTMIN+3"; "signal 99" for an invalid number. */
export function signalName(signal: number): string {
  const name = BY_NUMBER.get(signal);
  if (name !== undefined) return `SIG${name}`;
  if (signal >= RTMIN && signal <= RTMAX) return signal === RTMIN ? "SIGRTMIN" : `SIGRTMIN+${signal - RTMIN}`;
  return `signal ${signal}`;
}
