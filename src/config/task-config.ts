import { combinationProblem } from "./combinations";
import { ConfigError } from "./config-error";
import { decodeConfig } from "./decode";
import { notYetSupported } from "./not-yet";
import { type TaskOptions, taskOptions, taskSchema } from "./options";

/**
 * Decodes and validates a task's `config` block from the msgpack Nomad sends (TaskConfig.msgpack_driver_config).
 *
 * @throws ConfigError one sentence for the user, without secrets
 */
export function decodeTaskConfig(bytes: Uint8Array): TaskOptions {
  const options = decodeConfig(bytes, taskOptions, taskSchema);
  const problem = combinationProblem(options) ?? notYetSupported(options);
  if (problem !== undefined) throw new ConfigError(problem);
  return options;
}
