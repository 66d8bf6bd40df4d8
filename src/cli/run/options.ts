import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseDuration } from "../../config/duration";
import { isEnvironmentName } from "../../config/names";
import { orUsageError, UsageError } from "../command";
import { configOf, type RawConfig } from "./set-option";

/** The options of `run`. */
export interface RunOptions {
  /** The task's config block. */
  readonly config: RawConfig;
  readonly environment: Readonly<Record<string, string>>;
  /** MiB. */
  readonly memory: number;
  /** Milliseconds between the signal and SIGKILL. */
  readonly stopTimeout: number;
  /** Show everything the driver logs, not only warnings and errors. */
  readonly verbose: boolean;
}

/** The text of the help. */
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

const defaults = { memory: "512", stopTimeout: "5s" } as const;

/**
 * Parses the arguments of `run`.
 *
 * @throws UsageError
 */
export function runOptions(args: readonly string[]): RunOptions {
  const end = args.indexOf("--");
  const before = end < 0 ? args : args.slice(0, end);
  const { values, positionals } = orUsageError(() =>
    parseArgs({
      args: [...before],
      allowPositionals: true,
      options: {
        boot: { type: "boolean" },
        "network-veth": { type: "boolean" },
        set: { type: "string", multiple: true },
        env: { type: "string", multiple: true },
        memory: { type: "string", default: defaults.memory },
        "stop-timeout": { type: "string", default: defaults.stopTimeout },
        verbose: { type: "boolean" },
      },
    }),
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
  if (!isEnvironmentName(name))
    throw new UsageError("Expected --env NAME=VALUE, where NAME is a valid shell variable name.");
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
