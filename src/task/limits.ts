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
 * The limits of a task's cgroup. With memory_max, `memory` is what the scheduler reserved (protected, not limited) and
 * memory_max the limit; without it `memory` is the limit.
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
  const oversubscribed = memoryMax > memory;
  return {
    ...(memory > 0 || memoryMax > 0 ? { memoryMax: oversubscribed ? memoryMax : memory } : {}),
    ...(oversubscribed && memory > 0 ? { memoryLow: memory } : {}),
    ...(shares > 0 ? { cpuWeight: weightOfShares(shares) } : {}),
    ...(hard && share > 0 ? { cpuQuota: share * hostCpus } : {}),
    ...(pids === undefined ? {} : { pids }),
    ...(cpus === "" ? {} : { cpus }),
  };
}
