import type { HclType, OptionTable } from "../../config/option";
import { taskOptions } from "../../config/options";
import { UsageError } from "../command";

/** A task's config block as Nomad would send it. */
export type RawConfig = Record<string, unknown>;

/**
 * Makes a config block from the command line's assignments. `name=value` sets an option, `name.key=value` an entry of a map
 * or block; a list takes one element per assignment or all of them as a JSON array, a map or block also a JSON object.
 * The driver validates the values.
 *
 * @throws UsageError for an unknown option or invalid JSON
 */
export function configOf(assignments: readonly string[]): RawConfig {
  const config: RawConfig = {};
  for (const assignment of assignments) assign(config, assignment);
  return config;
}

function assign(config: RawConfig, assignment: string): void {
  const equals = assignment.indexOf("=");
  if (equals < 1) throw new UsageError(`Expected --set NAME=VALUE, not ${JSON.stringify(assignment)}.`);
  const left = assignment.slice(0, equals);
  const value = assignment.slice(equals + 1);
  const [name = "", key] = splitOnce(left, ".");
  const table: OptionTable = taskOptions;
  const row = Object.hasOwn(table, name) ? table[name] : undefined;
  if (row === undefined) {
    throw new UsageError(`Unknown option ${JSON.stringify(name)}: "nomad-driver-nspawn docs" lists all options.`);
  }
  config[name] =
    key === undefined
      ? wholeValue(row.type, name, value, config[name])
      : mapEntry(row.type, name, key, value, config[name]);
}

function wholeValue(type: HclType, name: string, value: string, before: unknown): unknown {
  switch (type.kind) {
    case "strings":
      return value.startsWith("[") ? json(name, value) : [...(Array.isArray(before) ? before : []), value];
    case "map":
    case "block":
      return json(name, value);
    default:
      return value;
  }
}

/** A key may contain dots and slashes, but no "=": write `bind` paths with "=" as JSON. */
function mapEntry(type: HclType, name: string, key: string, value: string, before: unknown): unknown {
  if (type.kind !== "map" && type.kind !== "block") {
    throw new UsageError(`Option ${name} is neither a map nor a block: use --set ${name}=VALUE.`);
  }
  return { ...(typeof before === "object" ? before : {}), [key]: value };
}

function json(name: string, text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    throw new UsageError(`The value of ${name} must be JSON, such as ["a"] or {"a": "b"}.`);
  }
}

function splitOnce(text: string, separator: string): [before: string, after: string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
