const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** Bytes of a size such as "500MB", "1.5 GiB" or "0"; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) ?([KMGT]i?B|B)?$/i.exec(text) ?? [];
  const factor = SIZE_UNITS[unit.toUpperCase()];
  return amount === undefined || factor === undefined ? undefined : Math.floor(Number(amount) * factor);
}

/** A number of bytes for a sentence, such as "95.4 MiB". */
export function readableSize(bytes: number): string {
  const [unit, factor] = bytes < 1e9 ? ["MiB", 2 ** 20] : ["GiB", 2 ** 30];
  return `${(bytes / Number(factor)).toFixed(1).replace(/\.0$/, "")} ${unit}`;
}

/** Milliseconds in each unit of Go's time.ParseDuration(). */
const DURATION_UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a Go duration such as "3m", "1h30m" or "1.5s"; undefined for anything else, including negative durations. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([a-zµμ]+)/g)) {
    total += Number(amount) * (DURATION_UNITS[unit ?? ""] ?? Number.NaN);
  }
  return total;
}
