import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { PluginOptions } from "../../config/plugin/options";
import { errorText } from "../../lib/errors";
import { readAgentConfig } from "../agent-config/read-agent-config";
import { type Command, parseArguments, UsageError } from "../command";
import { HclError } from "../hcl/tokens";
import { checkTask, type Remark, type TaskReport } from "./check-task";
import { JobFileError, tasksOf } from "./job-file";

/** `validate`: what the driver would say about a job. */
export const validateCommand: Command = {
  name: "validate",
  summary: "check the config of a job's tasks, without an agent",
  usage: "FILE [--var NAME=VALUE]… [--config PATH] [--json]",
  completes: "files",
  help: [
    "Checks each task of a job with driver nspawn as its start would: names, types and values of options, and those that exclude each",
    "other. For tasks of docker, podman, exec, raw_exec, exec2, java and containerd-driver it names every line to change, and to what.",
    'FILE is a job file in HCL 2, or a job in JSON as "nomad job run -output" or "nomad job inspect" prints it; "-" is stdin.',
    "",
    "  --var NAME=VALUE   value of a variable of the file; otherwise its default is used",
    "  --config PATH      the agent's configuration, a file or directory: checks what the operator allows as well",
    "  --json             print JSON",
    "",
    "Expressions with functions or operators, and what Nomad puts in when it runs the job, are not evaluated: what depends on them is",
    'named in a note. The rest of the job is what "nomad job validate" checks. Exit code 1 if something has to be changed.',
  ].join("\n"),
  async run(args, terminal) {
    const { values, positionals } = parseArguments(
      args,
      { var: { type: "string", multiple: true }, config: { type: "string" }, json: { type: "boolean" } },
      true,
    );
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new UsageError("Expected one FILE.");
    const plugin = values.config === undefined ? undefined : readAgentConfig(values.config).plugin;
    const reports = reportsOf(file, Object.fromEntries((values.var ?? []).map(variable)), plugin);
    terminal.out(
      values.json === true ? `${JSON.stringify(reportJson(file, reports), undefined, 2)}\n` : reportText(file, reports),
    );
    return reports.some(isWrong) ? 1 : 0;
  },
};

function variable(text: string): [name: string, value: string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageError("Expected --var NAME=VALUE.");
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function reportsOf(
  file: string,
  variables: Readonly<Record<string, string>>,
  plugin: PluginOptions | undefined,
): TaskReport[] {
  const text = readFileSync(file === "-" ? "/dev/stdin" : file, "utf8");
  try {
    return tasksOf(text, variables).map((task) => checkTask(task, { pluginDir: dirname(process.execPath), plugin }));
  } catch (error) {
    if (error instanceof HclError || error instanceof JobFileError) throw new Error(`${file}: ${errorText(error)}`);
    throw error;
  }
}

/** Whether a task has to be changed; that of another driver also if more than the driver's name changes. */
export function isWrong({ problems, changes }: TaskReport): boolean {
  return problems.length > 0 || changes.length > 1;
}

/** The reports as text: a line per task, and one per remark with its line of the file. */
export function reportText(file: string, reports: readonly TaskReport[]): string {
  const name = file === "-" ? "stdin" : basename(file);
  const lines = reports.flatMap((report) => {
    const { task } = report;
    const title = `Job "${task.job}", group "${task.group}", task "${task.task}" (driver ${task.driver || "unknown"}): ${verdict(report)}`;
    const remark =
      (kind: string) =>
      ({ line, message }: Remark) =>
        `  ${name}${line === undefined ? "" : `:${line}`}: ${kind}${message}${message.endsWith(".") ? "" : "."}`;
    return [
      title,
      ...report.problems.map(remark("")),
      ...report.changes.map(remark("")),
      ...report.notes.map(remark("note: ")),
    ];
  });
  return lines.length === 0 ? "The job has no tasks.\n" : `${lines.join("\n")}\n`;
}

function verdict({ kind, problems, changes }: TaskReport): string {
  if (kind === "other") return "not checked, its driver is not known.";
  if (kind === "nspawn") return problems.length === 0 ? "ok." : "cannot run:";
  if (problems.length > 0) return "to run with nspawn, these lines have to be changed:";
  return changes.length > 1
    ? "to run with nspawn, change these lines:"
    : "to run with nspawn, change the driver's name:";
}

function reportJson(file: string, reports: readonly TaskReport[]) {
  const plain = ({ line, option, message }: Remark) => ({ line: line ?? null, option, message });
  return {
    file,
    ok: !reports.some(isWrong),
    tasks: reports.map(({ task, kind, problems, changes, notes }) => ({
      ...{ job: task.job, group: task.group, task: task.task, driver: task.driver, checked: kind !== "other" },
      problems: problems.map(plain),
      changes: changes.map(plain),
      notes: notes.map(plain),
    })),
  };
}
