import type { CgroupFigures } from "../../linux/cgroup/stats";
import { cpuClock } from "../../linux/proc";
import { taskUsage } from "../../task/stats";
import { type Command, parseArguments } from "../command";
import { optionalTask, TASK_HELP } from "./inspect";
import { figuresOf, type ListedTask, readTasks } from "./read-tasks";
import { allocationOf, resolveTask, shortId } from "./resolve-task";
import { bytesText, tableText } from "./table";

/** The time over which the use of CPUs is measured, in milliseconds. */
const INTERVAL_MS = 1_000;

/** `stats`: what tasks use. */
export const statsCommand: Command = {
  name: "stats",
  summary: "show what tasks use of CPU and memory",
  usage: "[TASK] [--follow] [--json]",
  completes: "tasks",
  help: [
    "Measures for one second what the running tasks of this host use, or one of them: CPU in percent of one CPU, memory and its peak.",
    'The figures are those that Nomad gets; "-" is what this host does not measure. Needs root, and changes nothing.',
    "",
    TASK_HELP,
    "",
    "  -f, --follow   go on, each second, until no such task runs",
    "  --json         print JSON, one line per second",
  ].join("\n"),
  async run(args, terminal) {
    const { values, positionals } = parseArguments(
      args,
      { follow: { type: "boolean", short: "f" }, json: { type: "boolean" } },
      true,
    );
    const only = optionalTask(positionals);
    do {
      const tasks = await readTasks();
      const chosen = only === undefined ? tasks : [resolveTask(tasks, only)];
      const usages = await measure(chosen.filter(({ nspawnPid }) => nspawnPid !== undefined));
      if (values.json === true) terminal.out(`${JSON.stringify({ tasks: usages.map(usageJson) })}\n`);
      else terminal.out(usages.length === 0 ? "No running tasks.\n" : statsText(usages));
      if (usages.length === 0) break;
    } while (values.follow === true);
    return 0;
  },
};

/** What a task uses; undefined is not measured. */
export interface Usage {
  readonly task: Pick<ListedTask, "machine" | "record">;
  /** Percent of one CPU. */
  readonly cpu: number | undefined;
  /** Bytes. */
  readonly memory: number | undefined;
  readonly peak: number | undefined;
  readonly swap: number | undefined;
}

async function measure(tasks: readonly ListedTask[]): Promise<Usage[]> {
  const look = () =>
    tasks.map(({ nspawnPid = 0, machine }) => ({ figures: figuresOf(nspawnPid, machine), at: performance.now() }));
  const before = look();
  await Bun.sleep(tasks.length === 0 ? 0 : INTERVAL_MS);
  const after = look();
  const clock = cpuClock();
  return tasks.flatMap((task, index) => {
    const [one, other] = [before[index], after[index]];
    if (one === undefined || other === undefined) return [];
    return [{ task, cpu: taskUsage(one, other, clock).cpu?.percent, ...memoryOf(other.figures) }];
  });
}

function memoryOf({ memory }: CgroupFigures) {
  const number = (value: bigint | undefined) => (value === undefined ? undefined : Number(value));
  return { memory: number(memory?.usage), peak: number(memory?.max), swap: number(memory?.swap) };
}

/** The usage as a table. */
export function statsText(usages: readonly Usage[]): string {
  const rows = usages.map(({ task, cpu, memory, peak, swap }) => [
    task.record?.job ?? "-",
    task.record?.task ?? "-",
    shortId(allocationOf(task)) || "-",
    cpu === undefined ? "-" : `${cpu.toFixed(1)} %`,
    ...[memory, peak, swap].map(bytesText),
    task.machine,
  ]);
  return tableText([["JOB", "TASK", "ALLOC", "CPU", "MEMORY", "PEAK", "SWAP", "MACHINE"], ...rows]);
}

function usageJson({ task, cpu, memory, peak, swap }: Usage) {
  return {
    job: task.record?.job ?? null,
    task: task.record?.task ?? null,
    alloc_id: allocationOf(task) || null,
    machine: task.machine,
    cpu_percent: cpu ?? null,
    memory_bytes: memory ?? null,
    memory_peak_bytes: peak ?? null,
    swap_bytes: swap ?? null,
  };
}
