/** Traces of a container on the machine, while it runs and afterwards. */

import { differences, type HostState, hostState } from "../../tools/leftovers";

/** Milliseconds that the kernel gets to remove a dead container's cgroups; no event reports when it has. */
const patience = 5_000;
const pauseMs = 100;

/** Messages about traces of a machine, or of the run that started it, that did not exist before. */
export async function tracesOf(machine: string, before: HostState): Promise<string[]> {
  const now = differences(before, await hostState());
  // Other programs may start containers in the meantime; those are not counted.
  return now.filter((sentence) => sentence.includes(machine) || sentence.includes("nspawn-run-"));
}

/** Traces that remain after the kernel had time to clean up. */
export async function tracesLeft(machine: string, before: HostState): Promise<string[]> {
  const deadline = performance.now() + patience;
  for (;;) {
    const left = await tracesOf(machine, before);
    if (left.length === 0 || performance.now() >= deadline) return left;
    await Bun.sleep(pauseMs);
  }
}

/** "3 mounts, 1 unit": the number of traces of each kind. */
export function countText(sentences: readonly string[]): string {
  const kinds = ["unit", "machine", "mount", "loop device", "process", "file", "network interface", "cgroup"] as const;
  const counted = kinds.flatMap((kind) => {
    const count = sentences.filter((sentence) => sentence.startsWith(`The ${kind} `)).length;
    return count === 0 ? [] : [`${count} ${count === 1 ? kind : plural(kind)}`];
  });
  return counted.length === 0 ? "nothing" : counted.join(", ");
}

function plural(kind: string): string {
  return kind === "process" ? "processes" : `${kind}s`;
}
