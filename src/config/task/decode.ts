import { ConfigError } from "../../lib/errors";
import { combinationProblem } from "../combinations";
import { decodeConfig } from "../decode";
import { type TaskOptions, taskOptions, taskSchema } from "./options";

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
  const decoded = decodeConfig(bytes, taskOptions, taskSchema);
  const options = {
    ...decoded,
    boot: decoded.boot ?? !runsCommand(decoded),
    process_two: decoded.process_two || decoded.init,
  };
  const problem = combinationProblem(options);
  if (problem !== undefined) throw new ConfigError(problem);
  return options;
}
