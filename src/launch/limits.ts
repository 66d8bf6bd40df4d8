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

/** What the limits of a task depend on besides its job. */
interface LimitHost {
  /** Number of the host's CPUs. */
  readonly cpus: number;
  /** The CPUs that tasks without cores of their own may use, as a list; absent: all. */
  readonly shared?: string | undefined;
}

/**
 * The agent's cgroup whose CPUs a task may use, because it has no cores of its own: all but those that the agent gave to other tasks
 * (`cores`), or keeps for other programs (`client { reserved { cores } }`).
 *
 * Nomad 1.6.1 has such a cgroup for each task with cgroup v2 and writes the CPUs into it, and one for all tasks with v1
 * (client/lib/cgutil/cpuset_manager_v1.go and _v2.go); since 1.7 the CPUs are written into its parent (client/lib/cgroupslib).
 *
 * @param properties of the job; with AllowedCPUs= the job chose its CPUs itself
 * @returns a directory; undefined if the task has its own cores, or its agent does not manage any
 */
export function sharedCpuset(
  resources: Resources | undefined,
  { properties }: Pick<TaskOptions, "properties">,
): string | undefined {
  const { cpusetCpus = "", cpusetCgroup = "" } = resources?.linuxResources ?? {};
  const own = cpusetCpus !== "" || "AllowedCPUs" in properties;
  return own || !cpusetCgroup.startsWith("/") ? undefined : cpusetCgroup;
}

/** The limits of a task's cgroup. */
export function resourceLimits(
  resources: Resources | undefined,
  { cpu_hard_limit: hard = false, pids_limit: pids }: LimitOptions = {},
  host: LimitHost = { cpus: availableParallelism() },
): ResourceLimits {
  const memory = Number(resources?.allocatedResources?.memory?.memoryMb ?? 0n) * MEBIBYTE;
  const memoryMax = Number(resources?.allocatedResources?.memory?.memoryMaxMb ?? 0n) * MEBIBYTE;
  const shares = Number(resources?.linuxResources?.cpuShares ?? 0n);
  const cpus = resources?.linuxResources?.cpusetCpus || host.shared;
  // The task's share of the host's total CPU time, as Nomad computes it from its MHz.
  const share = resources?.linuxResources?.percentTicks ?? 0;
  return {
    ...memoryLimits(memory, memoryMax),
    ...(shares > 0 ? { cpuWeight: weightOfShares(shares) } : {}),
    ...(hard && share > 0 ? { cpuQuota: share * host.cpus } : {}),
    ...(pids === undefined ? {} : { pids }),
    ...(cpus === undefined ? {} : { cpus }),
  };
}
