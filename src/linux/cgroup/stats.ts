import { defined } from "../../lib/objects";

/** Resource usage from a cgroup's files; what a host does not measure is absent, never 0. */
export interface CgroupFigures {
  readonly cpu?: CpuFigures;
  readonly memory?: MemoryFigures;
}

/** Nanoseconds since the cgroup was created. */
export interface CpuFigures {
  readonly usage: bigint;
  readonly user?: bigint;
  readonly system?: bigint;
  /** How many periods, and for how long, the cgroup was throttled by its limit. */
  readonly throttledPeriods?: bigint;
  readonly throttled?: bigint;
}

/** Bytes. */
export interface MemoryFigures {
  readonly usage: bigint;
  readonly rss?: bigint;
  readonly cache?: bigint;
  readonly swap?: bigint;
  /** The highest usage so far. */
  readonly max?: bigint;
  readonly kernel?: bigint;
  readonly kernelMax?: bigint;
}

/** The content of a file in a cgroup; undefined if the file does not exist. */
export type ReadFile = (name: string) => string | undefined;

const NS_PER_USEC = 1000n;

/** CPU time by cgroup v2 (the kernel's cgroup-v2.rst, cpu.stat); throttling figures need the cpu controller. */
export function cpuV2(read: ReadFile): CpuFigures | undefined {
  const stat = table(read("cpu.stat"));
  const usec = (name: string) => scaled(stat.get(name), NS_PER_USEC);
  const usage = usec("usage_usec");
  if (usage === undefined) return undefined;
  return {
    usage,
    ...defined({
      user: usec("user_usec"),
      system: usec("system_usec"),
      throttledPeriods: stat.get("nr_throttled"),
      throttled: usec("throttled_usec"),
    }),
  };
}

/**
 * CPU time by cgroup v1 (the kernel's cgroup-v1/cpuacct.rst, and sched-bwc.rst for cpu.stat).
 *
 * @param cpuacct files of the cpuacct tree
 * @param cpu files of the cpu tree, which reports throttling
 */
export function cpuV1(cpuacct: ReadFile, cpu: ReadFile): CpuFigures | undefined {
  const usage = parseCount(cpuacct("cpuacct.usage"));
  if (usage === undefined) return undefined;
  const stat = table(cpu("cpu.stat"));
  return {
    usage,
    ...defined({
      user: parseCount(cpuacct("cpuacct.usage_user")),
      system: parseCount(cpuacct("cpuacct.usage_sys")),
      throttledPeriods: stat.get("nr_throttled"),
      throttled: stat.get("throttled_time"),
    }),
  };
}

/** Memory by cgroup v2; memory.peak exists since Linux 5.19, "kernel" since 5.18. */
export function memoryV2(read: ReadFile): MemoryFigures | undefined {
  const usage = parseCount(read("memory.current"));
  if (usage === undefined) return undefined;
  const stat = table(read("memory.stat"));
  return {
    usage,
    ...defined({
      rss: stat.get("anon"),
      cache: stat.get("file"),
      swap: parseCount(read("memory.swap.current")),
      max: parseCount(read("memory.peak")),
      kernel: stat.get("kernel"),
    }),
  };
}

/** Memory by cgroup v1 (the kernel's cgroup-v1/memory.rst), including the cgroups below. */
export function memoryV1(read: ReadFile): MemoryFigures | undefined {
  const usage = parseCount(read("memory.usage_in_bytes"));
  if (usage === undefined) return undefined;
  const stat = table(read("memory.stat"));
  return {
    usage,
    ...defined({
      rss: stat.get("total_rss"),
      cache: stat.get("total_cache"),
      swap: stat.get("total_swap"),
      max: parseCount(read("memory.max_usage_in_bytes")),
      kernel: parseCount(read("memory.kmem.usage_in_bytes")),
      kernelMax: parseCount(read("memory.kmem.max_usage_in_bytes")),
    }),
  };
}

/** Lines of "name number". */
function table(text: string | undefined): ReadonlyMap<string, bigint> {
  const found = new Map<string, bigint>();
  for (const line of (text ?? "").split("\n")) {
    const space = line.indexOf(" ");
    const value = parseCount(line.slice(space + 1));
    if (space > 0 && value !== undefined) found.set(line.slice(0, space), value);
  }
  return found;
}

function parseCount(text: string | undefined): bigint | undefined {
  const trimmed = text?.trim() ?? "";
  return /^\d+$/.test(trimmed) ? BigInt(trimmed) : undefined;
}

function scaled(value: bigint | undefined, factor: bigint): bigint | undefined {
  return value === undefined ? undefined : value * factor;
}
