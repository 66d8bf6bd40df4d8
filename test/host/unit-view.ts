import { run } from "../../scripts/command";

/** Figures of the moment, which any look at a unit changes: times, use of memory, CPU and disks, and counts of what happened. */
const figures =
  /Timestamp|^(Memory(Current|Peak|Available|Swap(Current|Peak)|ZSwapCurrent)|EffectiveMemory.*|CPUUsageNSec|IO(Read|Write)(Bytes|Operations)|IP(In|E)gress.*|TasksCurrent|EffectiveTasksMax|InvocationID)=/;

/** When and with which PID a command ran, which is told behind it until systemd has read it again. */
const runs = / ; start_time=\[[^\n]*\} *$/gm;

/**
 * What systemd says of a unit: all that is set for it, and nothing that changes by itself. Properties that are sets come in any
 * order, with their words in any order: both are sorted.
 */
export async function unitSettings(unit: string): Promise<readonly string[]> {
  const { stdout } = await run(["systemctl", "show", "--all", unit]);
  return stdout
    .replace(runs, "")
    .split("\n")
    .filter((line) => line !== "" && !figures.test(line))
    .map((line) =>
      line
        .split(/(?<=^\w+=)| /)
        .toSorted()
        .join(" "),
    )
    .toSorted();
}
