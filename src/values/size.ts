/** Bytes in each unit. */
const UNITS: Readonly<Record<string, number>> = {
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
  const factor = UNITS[unit.toUpperCase()];
  return amount === undefined || factor === undefined ? undefined : Math.floor(Number(amount) * factor);
}
