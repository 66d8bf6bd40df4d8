import type { CgroupLayout } from "./layout";

/** A controller that limits need; v1 has one tree per controller, v2 has all in one. */
type LimitController = "memory" | "cpu" | "cpuset" | "pids";

/** One value to write into a file of a task's cgroup. */
export interface LimitWrite {
  readonly controller: LimitController;
  /** File name within the task's cgroup of that controller. */
  readonly file: string;
  readonly value: string;
  /** The name of the limit in messages. */
  readonly meaning: string;
  /** A kernel may lack this file; then nothing is reported. */
  readonly optional?: true;
}

/** Default of cpu.weight and of cpu.shares; the kernel's documentation maps the defaults to each other. */
const DEFAULT_WEIGHT = 100;
const DEFAULT_SHARES = 1024;

/** The kernel's default period and its smallest quota, microseconds (sched-bwc.rst). */
const CPU_PERIOD = 100_000;
const CPU_QUOTA_MIN = 1000;
const SHARES_MIN = 2;
const SHARES_MAX = 262_144;

/** cpu.shares for a cpu.weight: the same multiple of the default, clamped to what the kernel accepts. */
export function sharesOfWeight(weight: number): number {
  return Math.min(SHARES_MAX, Math.max(SHARES_MIN, Math.round((weight * DEFAULT_SHARES) / DEFAULT_WEIGHT)));
}

/**
 * The files and values for a task's limits on a host. If a controller is in a v1 tree, it is limited there, also on a hybrid host.
 * v1 has no memory protection: the soft limit, to which memory is reclaimed under pressure, replaces memoryLow.
 *
 * @returns what to write, and in `missing` the limits whose controller the host does not have
 */
export function planLimits(limits: ResourceLimits, layout: CgroupLayout) {
  const writes: LimitWrite[] = [];
  const missing: LimitWrite[] = [];
  const add = (
    controller: LimitController,
    meaning: string,
    v1: [string, string],
    v2: [string, string],
    optional = false,
  ): void => {
    const legacy = layout.legacy.has(controller);
    const [file, value] = legacy ? v1 : v2;
    const possible = legacy || layout.unified?.controllers.includes(controller) === true;
    if (!possible && optional) return;
    (possible ? writes : missing).push({ controller, file, value, meaning, ...(optional ? { optional } : {}) });
  };
  const { memoryMax, memoryLow, cpuWeight, cpuQuota, pids, cpus } = limits;
  if (memoryMax !== undefined) {
    const value = String(memoryMax);
    add("memory", "memory", ["memory.limit_in_bytes", value], ["memory.max", value]);
    // In v1 this limits memory and swap together; it has to be written after the limit of memory alone.
    add("memory", "swap", ["memory.memsw.limit_in_bytes", value], ["memory.swap.max", "0"], true);
  }
  if (memoryLow !== undefined) {
    const value = String(memoryLow);
    add("memory", "reserved memory", ["memory.soft_limit_in_bytes", value], ["memory.low", value]);
  }
  if (cpuWeight !== undefined) {
    add("cpu", "cpu weight", ["cpu.shares", String(sharesOfWeight(cpuWeight))], ["cpu.weight", String(cpuWeight)]);
  }
  if (cpuQuota !== undefined) {
    const quota = String(Math.max(CPU_QUOTA_MIN, Math.round(cpuQuota * CPU_PERIOD)));
    add("cpu", "cpu time", ["cpu.cfs_quota_us", quota], ["cpu.max", `${quota} ${CPU_PERIOD}`]);
  }
  if (pids !== undefined) add("pids", "processes", ["pids.max", String(pids)], ["pids.max", String(pids)]);
  if (cpus !== undefined) add("cpuset", "cores", ["cpuset.cpus", cpus], ["cpuset.cpus", cpus]);
  return { writes, missing };
}

/** Limits of a task's cgroup; an absent value means no limit. */
export interface ResourceLimits {
  /** Hard limit, bytes. */
  readonly memoryMax?: number;
  /** Protected amount, bytes: what the scheduler reserved when memory_max lets the task use more. */
  readonly memoryLow?: number;
  /** cgroup v2 weight, 1 to 10000. */
  readonly cpuWeight?: number;
  /** Maximum CPU time, in CPUs: 0.5 is half of one CPU. */
  readonly cpuQuota?: number;
  /** Processes and threads. */
  readonly pids?: number;
  /** CPUs that the task may run on, as a cpuset list such as "0-3,7". */
  readonly cpus?: string;
}
