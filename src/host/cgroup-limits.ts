import type { ResourceLimits } from "../supervisor/supervisor";
import type { CgroupLayout } from "./cgroup-layout";

/** A controller that limits need; v1 has a tree for each, v2 has them all in one. */
export type LimitController = "memory" | "cpu" | "cpuset";

/** One value to be written into a file of a task's cgroup. */
export interface LimitWrite {
  readonly controller: LimitController;
  /** File name within the task's cgroup of that controller. */
  readonly file: string;
  readonly value: string;
  /** What is limited, for a sentence. */
  readonly meaning: string;
}

/** What to write, and what this host cannot limit at all. */
export interface LimitPlan {
  readonly writes: readonly LimitWrite[];
  /** Limits whose controller the host does not have. */
  readonly missing: readonly LimitWrite[];
}

/** Default of cpu.weight and of cpu.shares; the kernel's documentation relates the two by these. */
const DEFAULT_WEIGHT = 100;
const DEFAULT_SHARES = 1024;
const SHARES_MIN = 2;
const SHARES_MAX = 262_144;

/** cpu.shares for a cpu.weight: the same fraction of the default, within what the kernel takes. */
export function sharesOfWeight(weight: number): number {
  return Math.min(SHARES_MAX, Math.max(SHARES_MIN, Math.round((weight * DEFAULT_SHARES) / DEFAULT_WEIGHT)));
}

/**
 * The files and values for a task's limits on a host. A controller in a v1 tree is limited there, also on a hybrid host.
 * v1 has no protection of memory: the soft limit, which memory is taken back to under pressure, stands for memoryLow.
 */
export function planLimits(limits: ResourceLimits, layout: CgroupLayout): LimitPlan {
  const writes: LimitWrite[] = [];
  const missing: LimitWrite[] = [];
  const add = (controller: LimitController, meaning: string, v1: [string, string], v2: [string, string]): void => {
    const legacy = layout.legacy.has(controller);
    const [file, value] = legacy ? v1 : v2;
    const possible = legacy || layout.unified?.controllers.includes(controller) === true;
    (possible ? writes : missing).push({ controller, file, value, meaning });
  };
  const { memoryMax, memoryLow, cpuWeight, cpus } = limits;
  if (memoryMax !== undefined) {
    const value = String(memoryMax);
    add("memory", "memory", ["memory.limit_in_bytes", value], ["memory.max", value]);
  }
  if (memoryLow !== undefined) {
    const value = String(memoryLow);
    add("memory", "reserved memory", ["memory.soft_limit_in_bytes", value], ["memory.low", value]);
  }
  if (cpuWeight !== undefined) {
    add("cpu", "cpu weight", ["cpu.shares", String(sharesOfWeight(cpuWeight))], ["cpu.weight", String(cpuWeight)]);
  }
  if (cpus !== undefined) add("cpuset", "cores", ["cpuset.cpus", cpus], ["cpuset.cpus", cpus]);
  return { writes, missing };
}
