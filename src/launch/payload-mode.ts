import type { TaskOptions } from "../config/task/options";
import type { PayloadMode } from "../nspawn/payload";

/** How the payload of a task runs in its container. */
export function payloadMode(options: Pick<TaskOptions, "boot" | "process_two">): PayloadMode {
  if (options.boot) return "boot";
  return options.process_two ? "pid2" : "pid1";
}
