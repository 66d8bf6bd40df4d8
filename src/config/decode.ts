import * as v from "valibot";
import { ConfigError } from "../lib/errors";
import { decodeMsgpack } from "../lib/msgpack";
import { normalizeTable } from "./normalize";
import { type AnyOption, allowedText, isRequired, type OptionTable } from "./option";

/** Longest part of a value that an error message quotes, in characters. */
const SHOWN_CHARACTERS = 120;

/**
 * Decodes a config block as Nomad sends it (a msgpack map shaped by the hclspec) and validates it. Empty input is an
 * empty block. `table` has the rows that `schema` was made from.
 *
 * @param prepare changes the options by name before they are validated; may throw ConfigError
 * @throws ConfigError one sentence that names the option, its value unless it is secret, and what is allowed
 */
export function decodeConfig<TSchema extends v.GenericSchema>(
  bytes: Uint8Array,
  table: OptionTable,
  schema: TSchema,
  prepare: (raw: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>> = (raw) => raw,
): v.InferOutput<TSchema> {
  const raw = decodeRaw(bytes, table);
  refuseUnknown(table, raw, "");
  const result = v.safeParse(schema, prepare(raw), { abortEarly: true });
  if (result.success) return result.output;
  throw new ConfigError(sentence(table, result.issues[0]));
}

/** Decodes a config block, whose values are not validated. @throws ConfigError if it is none */
export function decodeRaw(bytes: Uint8Array, table: OptionTable): Readonly<Record<string, unknown>> {
  return normalizeTable(table, decodeMap(bytes));
}

function decodeMap(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = decodeMsgpack(bytes, "bigint");
  } catch (cause) {
    // The decoder's own rule, because the name is special in JavaScript; its error does not say where the name is.
    const reserved = cause instanceof Error && cause.message.includes("__proto__");
    const why = reserved ? 'the name "__proto__" cannot be used in it' : "it is not valid msgpack";
    throw new ConfigError(`The config block cannot be read: ${why}.`, { cause });
  }
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new ConfigError("The config block cannot be read: it is not a map of options.");
  }
  return Object.fromEntries(Object.entries(value));
}

function refuseUnknown(table: OptionTable, raw: Readonly<Record<string, unknown>>, prefix: string): void {
  for (const [name, value] of Object.entries(raw)) {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row === undefined) {
      const known = Object.keys(table);
      const near = known.find((candidate) => resembles(candidate, name));
      const hint = near === undefined ? `the options are ${known.join(", ")}` : `did you mean ${prefix}${near}?`;
      throw new ConfigError(`Option ${clip(prefix + name)} is unknown: ${hint}${near === undefined ? "." : ""}`);
    }
    if (row.type.kind === "block" && typeof value === "object" && value !== null && !Array.isArray(value)) {
      refuseUnknown(row.type.options, Object.fromEntries(Object.entries(value)), `${prefix}${name}.`);
    }
  }
}

/** True if the names differ by one edit, or only in separators or case. */
function resembles(known: string, name: string): boolean {
  const a = known.toLowerCase().replace(/[-_]/g, "");
  const b = name.toLowerCase().replace(/[-_]/g, "");
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [restA, restB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const swapped = restA.length === 2 && restB === `${restA[1]}${restA[0]}`;
  return swapped || (restA.length <= 1 && restB.length <= 1);
}

/** The sentence for a valibot issue. The driver's own checks provide its last clause; for a wrong type the row does. */
function sentence(table: OptionTable, issue: v.BaseIssue<unknown>): string {
  const keys = (issue.path ?? []).map((item) => item.key);
  const { row, name, inner } = locate(table, keys);
  if (row === undefined) return `The config block is not valid: ${issue.message}.`;
  const label = `Option ${name}${inner.map((key) => `[${clip(JSON.stringify(key))}]`).join("")}`;
  if (issue.input === undefined && isRequired(row)) return `${label} is missing: it must be ${allowedText(row)}.`;
  const clause = issue.kind === "schema" ? `it must be ${expected(row, inner.length > 0)}` : issue.message;
  // A check of a whole block about one of its options has the block as its input.
  const value = issue.path?.at(-1)?.value;
  const secret = typeof row.secret === "function" ? row.secret(value) : row.secret === true;
  const shown = secret || value === undefined ? "" : ` = ${show(value)}`;
  return `${label}${shown} is not valid: ${clause}.`;
}

/** What is allowed for an element of a list or map differs from what is allowed for the option. */
function expected(row: AnyOption, element: boolean): string {
  if (!element) return allowedText(row);
  if (row.type.kind === "map" && row.type.of === "number") return "a number";
  return "a string";
}

/** Follows a valibot path through nested blocks: the row it ends in, its dotted name, and the rest of the path in its value. */
function locate(table: OptionTable, keys: readonly unknown[]) {
  let options = table;
  const names: string[] = [];
  let row: AnyOption | undefined;
  for (const [index, key] of keys.entries()) {
    const found = typeof key === "string" && Object.hasOwn(options, key) ? options[key] : undefined;
    if (found === undefined) return { row, name: names.join("."), inner: keys.slice(index) };
    row = found;
    names.push(String(key));
    if (found.type.kind !== "block") return { row, name: names.join("."), inner: keys.slice(index + 1) };
    options = found.type.options;
  }
  return { row, name: names.join("."), inner: [] };
}

function show(value: unknown): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return clip(JSON.stringify(value));
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a map" : "a value of unknown type";
}

function clip(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}
