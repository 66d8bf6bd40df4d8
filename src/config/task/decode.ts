import type * as v from "valibot";
import { ConfigError } from "../../lib/errors";
import { CAPABILITIES } from "../../values/names";
import { combinationProblem } from "../combinations";
import { decodeConfig, decodeRaw } from "../decode";
import { inJobsWords, resolveAliases } from "./aliases";
import { type TaskOptions, taskSchema, writableOptions } from "./options";

/**
 * Decodes and validates a task's `config` block from the msgpack Nomad sends (TaskConfig.msgpack_driver_config).
 *
 * @param runsCommand whether the image runs a command by default; used if the job does not set `boot`
 * @throws ConfigError one sentence for the user, without secrets
 */
export function decodeTaskConfig(
  bytes: Uint8Array,
  runsCommand: (options: Pick<TaskOptions, "image" | "image_download">) => boolean = () => false,
): TaskOptions {
  try {
    return decodeOptions(bytes, runsCommand);
  } catch (error) {
    throw error instanceof ConfigError ? errorOfJob(bytes, error) : error;
  }
}

/** The error in the words of the job; see inJobsWords(). */
export function errorOfJob(bytes: Uint8Array, error: ConfigError): ConfigError {
  try {
    const raw = decodeRaw(bytes, writableOptions);
    const message = inJobsWords(error.message, raw);
    return message === error.message ? error : new ConfigError(message, { cause: error });
  } catch {
    // The config itself cannot be read, which is what the error says.
    return error;
  }
}

function decodeOptions(
  bytes: Uint8Array,
  runsCommand: (options: Pick<TaskOptions, "image" | "image_download">) => boolean,
): TaskOptions {
  const decoded = decodeConfig(bytes, writableOptions, taskSchema, resolveAliases);
  const hasOwnCommand = runsCommand(decoded);
  const privileged = withPrivileges(decoded);
  const { capability, ambient_capability: ambient } = privileged;
  const options = {
    ...privileged,
    boot: decoded.boot ?? !hasOwnCommand,
    process_two: decoded.process_two || decoded.init,
    // Only what the container may have can be ambient (systemd-nspawn(1)).
    capability: [...capability, ...ambient.filter((name) => !capability.includes(name))],
  };
  const problem = combinationProblem(options) ?? (hasOwnCommand ? undefined : argumentsProblem(options));
  if (problem !== undefined) throw new ConfigError(problem);
  return withNetwork(withCommand({ ...options, drop_capability: droppedCapabilities(options) }));
}

/** What privileged stands for, as far as options say it; the rest is in launch/. */
function withPrivileges(options: Decoded): Decoded {
  if (!options.privileged) return options;
  const { system_call_filter: filter } = options;
  return {
    ...options,
    user_namespacing: false,
    capability: ["all"],
    system_call_filter: filter.includes(ALL_SYSTEM_CALLS) ? filter : [ALL_SYSTEM_CALLS, ...filter],
  };
}

type Decoded = v.InferOutput<typeof taskSchema>;

/** The group of all system calls that systemd knows (`systemd-analyze syscall-filter`). */
const ALL_SYSTEM_CALLS = "@known";

/** As with Docker, those that the job adds are kept if all are dropped; systemd-nspawn would drop them too. */
function droppedCapabilities({ capability, drop_capability: dropped }: TaskOptions): string[] {
  const all = dropped.includes("all") && capability.length > 0 && !capability.includes("all");
  return all ? CAPABILITIES.filter((name) => !capability.includes(name)) : dropped;
}

/** Replaces the network's one word by the options that it stands for; "none" has no other. */
function withNetwork(options: TaskOptions): TaskOptions {
  const { network } = options;
  if (network === undefined) return options;
  const { kind, name } = network;
  const alone = { ...options, network_veth: kind === "private" };
  if (kind === "zone") return { ...alone, network_zone: name };
  return kind === "bridge" ? { ...alone, network_bridge: name } : alone;
}

/** Only container (OCI) images have an Entrypoint that arguments alone could go to. */
function argumentsProblem({ boot, args, command, entrypoint }: TaskOptions): string | undefined {
  return !boot && args.length > 0 && command.length === 0 && entrypoint.length === 0
    ? "Option args needs command, because only container (OCI) images have an Entrypoint: write the program in command."
    : undefined;
}

/** Joins the parts of the command. Arguments alone are left, for the image's Entrypoint. */
function withCommand(options: TaskOptions): TaskOptions {
  const { boot, entrypoint, command, args } = options;
  const named = boot || entrypoint.length + command.length > 0;
  return named ? { ...options, entrypoint: [], command: [...entrypoint, ...command, ...args], args: [] } : options;
}
