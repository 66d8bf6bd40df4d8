import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/options";
import type { ExecContext } from "../exec/session-plan";

/**
 * What a command that is run in the task's container has in common with the task's own.
 *
 * @param options undefined where the config of a recovered task cannot be read any more
 */
export function execContext(config: TaskConfig, options: TaskOptions | undefined): ExecContext {
  const user = options?.user ?? (config.user === "" ? undefined : config.user);
  return {
    ...(user === undefined ? {} : { user }),
    ...(options?.working_directory === undefined ? {} : { workingDirectory: options.working_directory }),
    environment: { ...config.env, ...config.deviceEnv, ...options?.environment },
  };
}
