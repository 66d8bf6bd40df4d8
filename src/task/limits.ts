import { availableParallelism } from "node:os";
import type { Resources } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/options";
import type { ResourceLimits } from "../supervisor/supervisor";

/** The options of a task that limit it further. */
export type LimitOptions = Partial<Pick<TaskOptions, "cpu_hard_limit" | "pids_limit">>;

const mebibyte = 1024 * 1024;

/**
 * cgroup v1 CPU shares (2 to 262144) as a cgroup v2 weight (1 to 10000), by the linear mapping that container runtimes
 * agreed on (opencontainers/runc, ConvertCPUSharesToCgroupV2Value).
 */
export function weightOfShares(shares: number): number {
  const clamped = Math.min(262_144, Math.max(2, shares));
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

/**
 * The limits of a task's memory. With memory_max, `memory` is what the scheduler reserved (protected, not limited) and
 * memory_max the limit; without it `memory` is the limit. A negative memory_max is no limit at all (Nomad since 1.11.2 sends -1
 * for it).
 *
 * @param memory bytes, 0 where the job names none
 * @param memoryMax bytes, 0 where the job names none
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
 * @param hostCpus how many CPUs the host has
 */
export function resourceLimits(
  resources: Resources | undefined,
  { cpu_hard_limit: hard = false, pids_limit: pids }: LimitOptions = {},
  hostCpus = availableParallelism(),
): ResourceLimits {
  const memory = Number(resources?.allocatedResources?.memory?.memoryMb ?? 0n) * mebibyte;
  const memoryMax = Number(resources?.allocatedResources?.memory?.memoryMaxMb ?? 0n) * mebibyte;
  const shares = Number(resources?.linuxResources?.cpuShares ?? 0n);
  const cpus = resources?.linuxResources?.cpusetCpus ?? "";
  // The task's part of all the host's CPU time, as Nomad computes it from its MHz.
  const share = resources?.linuxResources?.percentTicks ?? 0;
  return {
    ...memoryLimits(memory, memoryMax),
    ...(shares > 0 ? { cpuWeight: weightOfShares(shares) } : {}),
    ...(hard && share > 0 ? { cpuQuota: share * hostCpus } : {}),
    ...(pids === undefined ? {} : { pids }),
    ...(cpus === "" ? {} : { cpus }),
  };
}
