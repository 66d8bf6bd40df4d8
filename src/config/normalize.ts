import type { HclType, OptionTable } from "./option";

/** A decoded msgpack map; its values are not validated yet. */
type RawMap = Readonly<Record<string, unknown>>;

function isMap(value: unknown): value is RawMap {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/**
 * Normalizes the different encodings of one value: Nomad sends a map written as a block, and in most versions one
 * written as an attribute too, as a list of maps; null is an absent option, and so is an empty string, because the Go
 * driver cannot distinguish them. A value of a wrong type is passed through, and the validator reports it.
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
    case "words":
      return Array.isArray(raw) ? raw.map(scalarText) : wordList(scalarText(raw));
    case "map": {
      const merged = merge(raw);
      const convert = type.of === "number" ? number : scalarText;
      return isMap(merged) ? mapValues(merged, convert) : merged;
    }
    case "maps":
      return raw;
    case "block": {
      const single = Array.isArray(raw) && raw.length === 1 ? raw[0] : raw;
      return isMap(single) ? normalizeTable(type.options, single) : single;
    }
  }
}

/** A text is a list of one; a value of another type is left to the validator. */
function wordList(value: unknown): unknown {
  return typeof value === "string" ? [value] : value;
}

/** Normalizes every option of a block; unknown names are kept. */
export function normalizeTable(table: OptionTable, raw: RawMap): Record<string, unknown> {
  const entries = Object.entries(raw).map(([name, value]) => {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    return [name, row === undefined ? value : normalize(row.type, value)] as const;
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** Merges a list of maps; later entries win, as in Nomad's own drivers. */
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

/** HCL converts numbers and booleans to strings only where the type is known to be a string; here it is not. */
function scalarText(value: unknown): unknown {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean" ? String(value) : value;
}

/** Numbers a float cannot hold exactly arrive as text. */
function number(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}
