import type { Resources } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { ResourceLimits } from "../supervisor/supervisor";

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
 */
export function resourceLimits(resources: Resources | undefined): ResourceLimits {
  const memory = Number(resources?.allocatedResources?.memory?.memoryMb ?? 0n) * mebibyte;
  const memoryMax = Number(resources?.allocatedResources?.memory?.memoryMaxMb ?? 0n) * mebibyte;
  const shares = Number(resources?.linuxResources?.cpuShares ?? 0n);
  const cpus = resources?.linuxResources?.cpusetCpus ?? "";
  const oversubscribed = memoryMax > memory;
  return {
    ...(memory > 0 || memoryMax > 0 ? { memoryMax: oversubscribed ? memoryMax : memory } : {}),
    ...(oversubscribed && memory > 0 ? { memoryLow: memory } : {}),
    ...(shares > 0 ? { cpuWeight: weightOfShares(shares) } : {}),
    ...(cpus === "" ? {} : { cpus }),
  };
}
