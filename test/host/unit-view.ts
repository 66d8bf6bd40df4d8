import { run } from "../../tools/command";

/** Properties that change with every query: times, usage of memory, CPU and disks, and counters. */
const figures =
  /Timestamp|^(Memory(Current|Peak|Available|Swap(Current|Peak)|ZSwapCurrent)|EffectiveMemory.*|CPUUsageNSec|IO(Read|Write)(Bytes|Operations)|IP(In|E)gress.*|TasksCurrent|EffectiveTasksMax|InvocationID)=/;

/** Time and PID of a command's last run, which systemd appends to the command until it reloads the unit. */
const runs = / ; start_time=\[[^\n]*\} *$/gm;

/**
 * The properties of a unit without those that change by themselves. systemd returns sets in any order, with their words in any
 * order: both are sorted.
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
