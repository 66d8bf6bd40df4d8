/** What a container leaves on the machine, while it runs and afterwards. */

import { differences, type HostState, hostState } from "../../test/support/leftovers";

/** Milliseconds that the kernel gets to take down a dead container's cgroups; it tells nobody when. */
const patience = 5_000;
const pauseMs = 100;

/** Sentences about what there is of a machine, or of the run that started it, beyond what was there before. */
export async function tracesOf(machine: string, before: HostState): Promise<string[]> {
  const now = differences(before, await hostState());
  // Others may start containers meanwhile; theirs are not counted.
  return now.filter((sentence) => sentence.includes(machine) || sentence.includes("nspawn-run-"));
}

/** What is left when everything had its time to go. */
export async function tracesLeft(machine: string, before: HostState): Promise<string[]> {
  const deadline = performance.now() + patience;
  for (;;) {
    const left = await tracesOf(machine, before);
    if (left.length === 0 || performance.now() >= deadline) return left;
    await Bun.sleep(pauseMs);
  }
}

/** "3 mounts, 1 unit": how many traces there are of each kind. */
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
