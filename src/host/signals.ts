/** Linux' signal numbers (x86-64 and arm64), as signal(7) lists them; names without SIG. */
const NUMBERS = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  PWR: 30,
  SYS: 31,
} as const;

const ALIASES: Readonly<Record<string, number>> = { IOT: 6, CLD: 17, POLL: 29 };

/** glibc reserves 32 and 33, so the first real-time signal for programs is 34. */
const RTMIN = 34;
const RTMAX = 64;

const BY_NAME = new Map<string, number>([...Object.entries(NUMBERS), ...Object.entries(ALIASES)]);
const BY_NUMBER = new Map<number, string>(Object.entries(NUMBERS).map(([name, number]) => [number, name]));

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
