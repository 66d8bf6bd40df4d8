import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { redact } from "../config/redact";
import { type TaskOptions, taskOptions } from "../config/task/options";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { readConfigBlock } from "../machine/files";
import { isRegistered } from "../machine/registry";
import { readTaskRecord, type TaskRecord, writeTaskRecord } from "../machine/task-record";
import type { NetworkPlan } from "../network/network";
import type { PayloadMode } from "../nspawn/payload";
import type { LogPaths } from "./logs";

/** How the payload runs in the container. */
export function payloadMode({ boot, process_two }: Pick<TaskOptions, "boot" | "process_two">): PayloadMode {
  return boot ? "boot" : process_two ? "pid2" : "pid1";
}

/**
 * What the command line shows of a task.
 *
 * @param network its kind; undefined if it is not known, for a task that was recovered
 */
export function taskRecord(
  config: TaskConfig,
  options: TaskOptions,
  { stdoutPath, stderrPath }: LogPaths,
  network: NetworkPlan["kind"] | undefined,
): TaskRecord {
  return {
    task: config.name,
    allocation: config.allocId,
    // Agents before Nomad 1.2 send only the name.
    job: config.jobId || config.jobName,
    jobName: config.jobName,
    group: config.taskGroupName,
    namespace: config.namespace,
    node: config.nodeName,
    nodeId: config.nodeId,
    image: options.image,
    mode: payloadMode(options),
    ...(network === undefined ? {} : { network }),
    directory: config.allocDir,
    stdoutPath,
    stderrPath,
    config: redact(options, taskOptions),
  };
}

/** Writes the record of a recovered task if an earlier version of the driver started it, which wrote none. A failure is logged. */
export async function recordIfMissing(machine: string, record: TaskRecord, log: Logger): Promise<void> {
  if (!isRegistered(machine) || (await readTaskRecord(machine)) !== undefined) return;
  try {
    writeTaskRecord(machine, record);
  } catch (error) {
    log.debug("cannot write the record of a recovered task", { machine, error: errorText(error) });
  }
}

/** A recovered task's config with its config block, which an agent that was restarted does not send. */
export async function withConfigBlock(config: TaskConfig, machine: string): Promise<TaskConfig> {
  if (config.msgpackDriverConfig.length > 0) return config;
  const msgpackDriverConfig = await readConfigBlock(machine);
  return msgpackDriverConfig === undefined ? config : { ...config, msgpackDriverConfig };
}
