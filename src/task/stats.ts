import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  CPUUsage_Fields,
  MemoryUsage_Fields,
  type TaskResourceUsageSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { LONGEST_TIMER } from "../lib/deadline";
import type { CgroupFigures, CpuFigures, MemoryFigures } from "../linux/cgroup/stats";

/** One timer per interval, so that all tasks with that interval are measured in one pass. */
export class StatsTicker {
  readonly #beats = new Map<number, { readonly listeners: Set<() => void>; readonly timer: Timer }>();

  /**
   * Calls `listener` every `interval` milliseconds, together with all others of the same interval, until the returned
   * function is called.
   */
  every(interval: number, listener: () => void): () => void {
    let beat = this.#beats.get(interval);
    if (beat === undefined) {
      const listeners = new Set<() => void>();
      const timer = setInterval(
        () => {
          for (const each of listeners) each();
        },
        Math.min(interval, LONGEST_TIMER),
      );
      timer.unref();
      beat = { listeners, timer };
      this.#beats.set(interval, beat);
    }
    const { listeners, timer } = beat;
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      clearInterval(timer);
      this.#beats.delete(interval);
    };
  }
}

type Timer = ReturnType<typeof setInterval>;

/** Figures and the time at which they were read. */
export interface Sample {
  readonly figures: CgroupFigures;
  /** Milliseconds on a monotonic clock. */
  readonly at: number;
}

const NS_PER_MS = 1e6;

/**
 * A task's usage between two samples, in Nomad's format. Only what both samples have is reported as measured.
 *
 * @param clock of one CPU, MHz
 */
export function taskUsage(
  before: Sample,
  now: Sample,
  clock: number,
): MessageInitShape<typeof TaskResourceUsageSchema> {
  const elapsed = (now.at - before.at) * NS_PER_MS;
  const { cpu, memory } = now.figures;
  return {
    ...(cpu === undefined || before.figures.cpu === undefined || elapsed <= 0
      ? {}
      : { cpu: cpuUsage(before.figures.cpu, cpu, elapsed, clock) }),
    ...(memory === undefined ? {} : { memory: memoryUsage(memory) }),
  };
}

/** Percent of one CPU: two busy CPUs are 200. */
function cpuUsage(before: CpuFigures, now: CpuFigures, elapsed: number, clock: number) {
  // A container that rebooted has a new cgroup, whose counters start at 0.
  const percent = (from: bigint | undefined, to: bigint | undefined) =>
    from === undefined || to === undefined ? undefined : Math.max(0, (Number(to - from) / elapsed) * 100);
  const total = percent(before.usage, now.usage) ?? 0;
  const user = percent(before.user, now.user);
  const system = percent(before.system, now.system);
  const fields = [CPUUsage_Fields.PERCENT, CPUUsage_Fields.TOTAL_TICKS];
  if (user !== undefined) fields.push(CPUUsage_Fields.USER_MODE);
  if (system !== undefined) fields.push(CPUUsage_Fields.SYSTEM_MODE);
  if (now.throttledPeriods !== undefined) fields.push(CPUUsage_Fields.THROTTLED_PERIODS);
  if (now.throttled !== undefined) fields.push(CPUUsage_Fields.THROTTLED_TIME);
  return {
    percent: total,
    totalTicks: (total / 100) * clock,
    userMode: user ?? 0,
    systemMode: system ?? 0,
    throttledPeriods: now.throttledPeriods ?? 0n,
    throttledTime: now.throttled ?? 0n,
    measuredFields: fields,
  };
}

const MEMORY_FIELDS = [
  ["usage", MemoryUsage_Fields.USAGE],
  ["rss", MemoryUsage_Fields.RSS],
  ["cache", MemoryUsage_Fields.CACHE],
  ["swap", MemoryUsage_Fields.SWAP],
  ["max", MemoryUsage_Fields.MAX_USAGE],
  ["kernel", MemoryUsage_Fields.KERNEL_USAGE],
  ["kernelMax", MemoryUsage_Fields.KERNEL_MAX_USAGE],
] as const satisfies readonly (readonly [keyof MemoryFigures, MemoryUsage_Fields])[];

function memoryUsage(memory: MemoryFigures) {
  return {
    usage: memory.usage,
    rss: memory.rss ?? 0n,
    cache: memory.cache ?? 0n,
    swap: memory.swap ?? 0n,
    maxUsage: memory.max ?? 0n,
    kernelUsage: memory.kernel ?? 0n,
    kernelMaxUsage: memory.kernelMax ?? 0n,
    measuredFields: MEMORY_FIELDS.flatMap(([name, field]) => (memory[name] === undefined ? [] : [field])),
  };
}
