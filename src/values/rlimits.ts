import { alternatives } from "./names";

/** How systemd's rlimit-util.c parses a limit depends on its unit. */
type Unit = "count" | "size" | "seconds" | "microseconds" | "nice";

const UNITS: Readonly<Record<string, Unit>> = {
  AS: "size",
  CORE: "size",
  CPU: "seconds",
  DATA: "size",
  FSIZE: "size",
  LOCKS: "count",
  MEMLOCK: "size",
  MSGQUEUE: "size",
  NICE: "nice",
  NOFILE: "count",
  NPROC: "count",
  RSS: "size",
  RTPRIO: "count",
  RTTIME: "microseconds",
  SIGPENDING: "count",
  STACK: "size",
};

const SIZE_FACTORS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
  P: 2 ** 50,
  E: 2 ** 60,
};

const TIME_SECONDS: Readonly<Record<string, number>> = {
  us: 1e-6,
  ms: 1e-3,
  s: 1,
  min: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};

/** The limit's name without RLIMIT_ or Limit before it, or undefined for an unknown one. */
export function canonicalLimit(name: string): string | undefined {
  const bare = name.replace(/^(RLIMIT_|Limit)/, "");
  return Object.hasOwn(UNITS, bare) ? bare : undefined;
}

/** Why a name is not the name of a limit, or undefined. */
export function limitNameProblem(name: string): string | undefined {
  return canonicalLimit(name) === undefined ? `a limit must be ${alternatives(Object.keys(UNITS))}` : undefined;
}

/** Why `SOFT[:HARD]` is not a valid value of that limit, or undefined. */
export function limitValueProblem(name: string, value: string): string | undefined {
  const unit = UNITS[canonicalLimit(name) ?? ""];
  if (unit === undefined) return limitNameProblem(name);
  const parts = value.split(":");
  const numbers = parts.map((part) => amount(unit, part));
  const [soft, hard] = numbers;
  if (parts.length > 2 || numbers.includes(undefined))
    return `it must be SOFT or SOFT:HARD, each ${DESCRIPTIONS[unit]}`;
  if (soft !== undefined && hard !== undefined && soft > hard) return "the soft limit must not be above the hard limit";
  return undefined;
}

const TIME = 'a time such as "10s", or "infinity"';
const DESCRIPTIONS: Readonly<Record<Unit, string>> = {
  count: 'a whole number or "infinity"',
  size: 'a number of bytes such as "64M", or "infinity"',
  seconds: TIME,
  microseconds: TIME,
  nice: "a nice level from -20 to +19, or a whole number from 0 to 40",
};

function amount(unit: Unit, part: string): number | undefined {
  if (unit === "nice") return niceLimit(part);
  if (part === "infinity") return Number.POSITIVE_INFINITY;
  if (unit === "count") return bounded(/^\d+$/.test(part) ? Number(part) : undefined);
  if (unit === "size") {
    const match = /^(\d+(?:\.\d+)?)([BKMGTPE]?)$/.exec(part);
    return bounded(match === null ? undefined : Number(match[1]) * (SIZE_FACTORS[match[2] ?? ""] ?? 1));
  }
  const match = /^(\d+(?:\.\d+)?)(us|ms|s|min|h|d|w)?$/.exec(part);
  if (match === null) return undefined;
  const seconds = match[2] === undefined ? undefined : TIME_SECONDS[match[2]];
  // Without a suffix the number is in the limit's own unit.
  return Number(match[1]) * (seconds === undefined ? 1 : seconds * (unit === "seconds" ? 1 : 1e6));
}

/** systemd does not accept RLIM_INFINITY as a number. */
function bounded(value: number | undefined): number | undefined {
  return value !== undefined && value < 2 ** 64 ? value : undefined;
}

/** RLIMIT_NICE as the kernel counts it: 40 is nice level -20. */
function niceLimit(part: string): number | undefined {
  const match = /^([+-]?)(\d{1,2})$/.exec(part);
  if (match === null) return undefined;
  const level = Number(match[2]);
  if (match[1] === "+") return level < 20 ? 20 - level : undefined;
  if (match[1] === "-") return level <= 20 ? 20 + level : undefined;
  return level <= 40 ? level : undefined;
}
