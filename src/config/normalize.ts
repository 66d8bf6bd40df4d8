import type { HclType, OptionTable } from "./option";

/** A msgpack map as decoded: its values are not known yet. */
type RawMap = Readonly<Record<string, unknown>>;

function isMap(value: unknown): value is RawMap {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/**
 * Brings the shapes one value can arrive in to one: Nomad sends a map written as a block, and in most versions one
 * written as an attribute too, as a list of maps; null is an absent option, and so is an empty string, because upstream's
 * driver cannot tell them apart. What does not fit the type is passed on for the validator to name.
 */
export function normalize(type: HclType, raw: unknown): unknown {
  if (raw === null || raw === "") return undefined;
  switch (type.kind) {
    case "string":
      return scalarText(raw);
    case "bool":
      return raw === "true" ? true : raw === "false" ? false : raw;
    case "number":
      return number(raw);
    case "strings":
      return Array.isArray(raw) ? raw.map(scalarText) : raw;
    case "map": {
      const merged = merge(raw);
      const convert = type.of === "number" ? number : scalarText;
      return isMap(merged) ? mapValues(merged, convert) : merged;
    }
    case "block": {
      const single = Array.isArray(raw) && raw.length === 1 ? raw[0] : raw;
      return isMap(single) ? normalizeTable(type.options, single) : single;
    }
  }
}

/** Normalizes every option of a block; names the table does not know are kept. */
export function normalizeTable(table: OptionTable, raw: RawMap): Record<string, unknown> {
  const entries = Object.entries(raw).map(([name, value]) => {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    return [name, row === undefined ? value : normalize(row.type, value)] as const;
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** One map out of a list of maps, later entries winning, as Nomad's own drivers merge repeated blocks. */
function merge(raw: unknown): unknown {
  if (!Array.isArray(raw)) return raw;
  const maps = raw.filter((element) => element !== null);
  return maps.every(isMap) ? Object.fromEntries(maps.flatMap((map) => Object.entries(map))) : raw;
}

/** A null entry of a map is an absent one. */
function mapValues(map: RawMap, convert: (value: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(map)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, convert(value)]),
  );
}

/** HCL converts numbers and booleans to strings where it knows that a string is wanted; here it does not. */
function scalarText(value: unknown): unknown {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean" ? String(value) : value;
}

/** Numbers a float cannot hold exactly arrive as text. */
function number(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}
