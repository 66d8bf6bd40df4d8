import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import type { ExecContext } from "../exec/session-plan";

/**
 * The context that a command in the task's container shares with the task's own command.
 *
 * @param options undefined if this version rejects the config of a recovered task
 */
export function execContext(config: TaskConfig, options: TaskOptions | undefined): ExecContext {
  const user = options?.user ?? (config.user === "" ? undefined : config.user);
  return {
    ...(user === undefined ? {} : { user }),
    ...(options?.working_directory === undefined ? {} : { workingDirectory: options.working_directory }),
    environment: { ...config.env, ...config.deviceEnv, ...options?.environment },
  };
}
