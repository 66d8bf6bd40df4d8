/** How often the kernel killed a process of the cgroup for memory: from memory.events (v2) or memory.oom_control (v1). */
export function parseOomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
