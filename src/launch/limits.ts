import { availableParallelism } from "node:os";
import type { Resources } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import type { ResourceLimits } from "../linux/cgroup/limits";

/** The task options that set further limits. */
type LimitOptions = Partial<Pick<TaskOptions, "cpu_hard_limit" | "pids_limit">>;

const MEBIBYTE = 1024 * 1024;

/**
 * cgroup v1 CPU shares (2 to 262144) as a cgroup v2 weight (1 to 10000), by the linear mapping of
 * container runtimes (opencontainers/runc, ConvertCPUSharesToCgroupV2Value).
 */
export function weightOfShares(shares: number): number {
  const clamped = Math.min(262_144, Math.max(2, shares));
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

/**
 * The limits of a task's memory. With memory_max, `memory` is what the scheduler reserved (protected, not limited) and
 * memory_max the limit; without it `memory` is the limit. A negative memory_max means no limit (since 1.11.2 Nomad sends -1
 * for it).
 *
 * @param memory bytes, 0 if not set
 * @param memoryMax bytes, 0 if not set
 */
function memoryLimits(memory: number, memoryMax: number): Pick<ResourceLimits, "memoryMax" | "memoryLow"> {
  const reserved = memory > 0 ? { memoryLow: memory } : {};
  if (memoryMax < 0) return reserved;
  if (memoryMax > memory) return { memoryMax, ...reserved };
  return memory > 0 ? { memoryMax: memory } : {};
}

/**
 * The limits of a task's cgroup.
 *
 * @param hostCpus number of the host's CPUs
 */
export function resourceLimits(
  resources: Resources | undefined,
  { cpu_hard_limit: hard = false, pids_limit: pids }: LimitOptions = {},
  hostCpus = availableParallelism(),
): ResourceLimits {
  const memory = Number(resources?.allocatedResources?.memory?.memoryMb ?? 0n) * MEBIBYTE;
  const memoryMax = Number(resources?.allocatedResources?.memory?.memoryMaxMb ?? 0n) * MEBIBYTE;
  const shares = Number(resources?.linuxResources?.cpuShares ?? 0n);
  const cpus = resources?.linuxResources?.cpusetCpus ?? "";
  // The task's share of the host's total CPU time, as Nomad computes it from its MHz.
  const share = resources?.linuxResources?.percentTicks ?? 0;
  return {
    ...memoryLimits(memory, memoryMax),
    ...(shares > 0 ? { cpuWeight: weightOfShares(shares) } : {}),
    ...(hard && share > 0 ? { cpuQuota: share * hostCpus } : {}),
    ...(pids === undefined ? {} : { pids }),
    ...(cpus === "" ? {} : { cpus }),
  };
}
