import { startTimer } from "../../lib/deadline";
import { watchIfThere } from "../../lib/files";
import { RateLimit } from "../../lib/rate-limit";
import { readCgroupFile } from "./layout";
import type { ContainerCgroups } from "./membership";

/** How often the kernel killed a process of the cgroup for memory: from memory.events (v2) or memory.oom_control (v1). */
export function parseOomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}

/** What a container's cgroup reports about memory exhaustion. */
export interface OomState {
  /** How often the kernel killed a process of it. */
  readonly kills: number;
  /** Bytes; absent if unlimited or not reported. */
  readonly limit?: number;
  /** The highest usage so far, bytes; since Linux 5.19. */
  readonly peak?: number;
}

const NAMES = {
  v1: { events: "memory.oom_control", limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes" },
  v2: { events: "memory.events", limit: "memory.max", peak: "memory.peak" },
} as const;

/** Undefined if memory is not accounted for, or the cgroup is gone. */
export function readOomState({ unified, legacy }: ContainerCgroups): OomState | undefined {
  const memory = legacy.get("memory");
  const directory = memory ?? unified;
  if (directory === undefined) return undefined;
  const names = memory === undefined ? NAMES.v2 : NAMES.v1;
  const events = readCgroupFile(`${directory}/${names.events}`);
  if (events === undefined) return undefined;
  const bytes = (name: string) => Number(readCgroupFile(`${directory}/${name}`)?.trim());
  const [limit, peak] = [bytes(names.limit), bytes(names.peak)];
  return {
    kills: parseOomKills(events),
    // "max", or v1's number for it, means no limit.
    ...(limit < Number.MAX_SAFE_INTEGER ? { limit } : {}),
    ...(peak > 0 ? { peak } : {}),
  };
}

/** How often a container is checked whose processes the kernel keeps killing: each change also emits a Nomad event. */
const paceLimits = { burst: 5, perSecond: 1 } as const;

/**
 * Calls `changed` when the kernel has killed a process of a container for memory. cgroup v2 reports that (the kernel's
 * cgroup-v2.rst: a change of memory.events is a file modified event); v1 reports nothing. A container that runs out of memory
 * repeatedly is checked once a second, after the first five times.
 *
 * @returns stops watching
 */
export function watchOom(cgroups: ContainerCgroups, changed: (state: OomState) => void): () => void {
  const { unified, legacy } = cgroups;
  if (unified === undefined || legacy.has("memory")) return () => {};
  let kills = readOomState(cgroups)?.kills ?? 0;
  const pace = new RateLimit(paceLimits);
  let stopTimer: (() => void) | undefined;
  const check = () => {
    stopTimer = undefined;
    const since = performance.now();
    const state = readOomState(cgroups);
    if (state === undefined || state.kills <= kills) return;
    kills = state.kills;
    changed(state);
    const pause = pace.pause(since);
    if (pause > 0) stopTimer = startTimer(pause, check);
  };
  // Missing: no memory controller, or the container ended meanwhile. Changes during the pause are noticed when it ends.
  const watcher = watchIfThere(`${unified}/${NAMES.v2.events}`, () => {
    if (stopTimer === undefined) check();
  });
  return () => {
    watcher?.close();
    stopTimer?.();
  };
}
