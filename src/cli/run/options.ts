import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { HclType } from "../../config/option";
import { writableOptions } from "../../config/task/options";
import { parseJson } from "../../lib/objects";
import { parseDuration } from "../../values/units";
import { parseArguments, UsageError } from "../command";

/** A task's config block as Nomad would send it. */
type RawConfig = Record<string, unknown>;

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
  const [name = "", ...keys] = left.split(".");
  const row = Object.hasOwn(writableOptions, name) ? writableOptions[name] : undefined;
  if (row === undefined) {
    throw new UsageError(`Unknown option ${JSON.stringify(name)}: "nomad-driver-nspawn docs" lists all options.`);
  }
  config[name] =
    keys.length === 0
      ? wholeValue(row.type, name, value, config[name])
      : mapEntry(row.type, name, keys.join("."), value, config[name]);
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
  const value = parseJson(text);
  if (value === undefined) throw new UsageError(`The value of ${name} must be JSON, such as ["a"] or {"a": "b"}.`);
  return value;
}

export interface RunOptions {
  readonly config: RawConfig;
  readonly environment: Readonly<Record<string, string>>;
  /** MiB. */
  readonly memory: number;
  /** Milliseconds between the signal and SIGKILL. */
  readonly stopTimeout: number;
  /** Show everything the driver logs, not only warnings and errors. */
  readonly verbose: boolean;
}

export const runHelp = [
  "Starts a container through the plugin protocol, as a Nomad agent would, and exits with its exit code; 128 + N if",
  "signal N killed it. Its output is streamed. SIGINT and SIGTERM stop it; a second one kills it.",
  "All of its files are removed afterwards.",
  "",
  "IMAGE is a value of the task option image; a relative path is resolved in the working directory.",
  "Unlike a task, the container by default does not boot and shares the host's network.",
  "",
  "  --boot               boot the image's init system (boot = true)",
  "  --network-veth       give the container a private network (network_veth = true)",
  "  --set NAME=VALUE     set a task option; NAME.KEY=VALUE for an entry of a map; lists and maps may be JSON",
  "  --env NAME=VALUE     set an environment variable of the task",
  "  --memory MIB         memory limit (512)",
  '  --stop-timeout TIME  time between the signal and SIGKILL ("5s")',
  "  --verbose            show everything the driver logs",
  "",
  "Example: nomad-driver-nspawn run ./debian --set ephemeral=true -- /bin/sh -c 'hostname; id'",
].join("\n");

/** Parses the arguments of `run`. @throws UsageError */
export function runOptions(args: readonly string[]): RunOptions {
  const end = args.indexOf("--");
  const before = end < 0 ? args : args.slice(0, end);
  const { values, positionals } = parseArguments(
    before,
    {
      boot: { type: "boolean" },
      "network-veth": { type: "boolean" },
      set: { type: "string", multiple: true },
      env: { type: "string", multiple: true },
      memory: { type: "string", default: "512" },
      "stop-timeout": { type: "string", default: "5s" },
      verbose: { type: "boolean" },
    },
    true,
  );
  const [image, ...words] = positionals;
  if (image === undefined) throw new UsageError("Missing argument: IMAGE. Usage: run IMAGE [OPTIONS] [-- COMMAND…].");
  const command = [...words, ...(end < 0 ? [] : args.slice(end + 1))];
  return {
    config: {
      boot: values.boot === true,
      network_veth: values["network-veth"] === true,
      ...(command.length === 0 ? {} : { command }),
      ...configOf(values.set ?? []),
      image: existsSync(image) ? resolve(image) : image,
    },
    environment: Object.fromEntries((values.env ?? []).map(variable)),
    memory: megabytes(values.memory),
    stopTimeout: milliseconds(values["stop-timeout"]),
    verbose: values.verbose === true,
  };
}

function variable(text: string): [name: string, value: string] {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(equals, 0));
  // The value may be a secret and is not repeated.
  if (name === "") throw new UsageError("Expected --env NAME=VALUE.");
  return [name, text.slice(equals + 1)];
}

function megabytes(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new UsageError(`--memory ${text} is not a number of MiB.`);
}

function milliseconds(text: string): number {
  const duration = parseDuration(text);
  if (duration !== undefined) return duration;
  throw new UsageError(`--stop-timeout ${text} is not a duration such as "5s" or "1m".`);
}
