import type { TaskOptions } from "../config/task/options";
import type { ExecContext } from "../exec/session-plan";
import type { JobSettings } from "../rootfs/image-defaults";

/**
 * The context that a command in the task's container shares with the task's own command.
 *
 * @param options with the image's defaults; undefined if the config of a recovered task cannot be read by this version
 */
export function execContext(job: JobSettings, options: TaskOptions | undefined): ExecContext {
  const user = options?.user ?? (job.user === "" ? undefined : job.user);
  return {
    ...(user === undefined ? {} : { user }),
    ...(options?.working_directory === undefined ? {} : { workingDirectory: options.working_directory }),
    environment: { ...job.environment, ...options?.environment },
  };
}
