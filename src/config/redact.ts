import { isRecord } from "../lib/objects";
import type { AnyOption, OptionTable } from "./option";

/** What stands in place of a secret. */
const HIDDEN = "(hidden)";

/**
 * Decoded options without their secrets, to be shown to an operator or written to a record. Of maps with secret values the names stay:
 * variables, credentials. Options without a value are left out.
 */
export function redact(options: Readonly<Record<string, unknown>>, table: OptionTable): Record<string, unknown> {
  const shown = Object.entries(options).flatMap(([name, value]): [string, unknown][] => {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (value === undefined || row === undefined) return [];
    return [[name, redactValue(value, row)]];
  });
  return Object.fromEntries(shown);
}

function redactValue(value: unknown, row: AnyOption): unknown {
  const secret = typeof row.secret === "function" ? row.secret(value) : row.secret === true;
  if (row.type.kind === "block") return isRecord(value) ? redact(value, row.type.options) : undefined;
  if (!secret) return value;
  return isRecord(value) ? Object.fromEntries(Object.keys(value).map((name) => [name, HIDDEN])) : HIDDEN;
}
