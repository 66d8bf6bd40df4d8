import { isRegistered } from "../../machine/registry";
import { type Command, parseArguments, UsageError } from "../command";
import { oneTask, TASK_HELP } from "./inspect";
import { printJournal } from "./journal";
import { LineBuffer } from "./line-buffer";
import { LogFiles, type LogStream } from "./log-files";
import { type ListedTask, readTasks } from "./read-tasks";
import { resolveTask } from "./resolve-task";

/** How often a log is looked at for more, in milliseconds. */
const INTERVAL_MS = 200;

/** `logs`: what a task has printed. */
export const logsCommand: Command = {
  name: "logs",
  summary: "print a task's logs, and follow them",
  usage: "TASK [--follow] [--stdout | --stderr] [--tail LINES] [--json]",
  completes: "tasks",
  help: [
    "Prints what Nomad has collected of a task's stdout and stderr, each to the same stream of this command: what",
    "`nomad alloc logs` prints through the agent. Needs root, and changes nothing.",
    "",
    TASK_HELP,
    "",
    "  -f, --follow       go on until the task is removed",
    'The output of a task with log_driver = "journal" is read by journalctl, with both streams as one.',
    "",
    "  --stdout           only stdout",
    "  --stderr           only stderr",
    "  -n, --tail LINES   only the last lines of each stream",
    "  --json             one JSON object per line, with stream and line, on stdout",
  ].join("\n"),
  async run(args, terminal) {
    const { values, positionals } = parseArguments(
      args,
      {
        follow: { type: "boolean", short: "f" },
        stdout: { type: "boolean" },
        stderr: { type: "boolean" },
        tail: { type: "string", short: "n" },
        json: { type: "boolean" },
      },
      true,
    );
    const tail = tailOf(values.tail);
    const task = resolveTask(await readTasks(), oneTask(positionals));
    const options = { follow: values.follow === true, json: values.json === true, tail };
    if (task.record?.stdoutPath === "journal") return await printJournal(task, options);
    const both = (values.stdout === true) === (values.stderr === true);
    const streams = (["stdout", "stderr"] as const).filter((stream) => both || values[stream] === true);
    const print = (stream: LogStream, line: string): void => {
      if (values.json === true) terminal.out(`${JSON.stringify({ stream, line: line.replace(/\n$/, "") })}\n`);
      else (stream === "stdout" ? terminal.out : terminal.err)(line);
    };
    await printLogs(task, streams, { tail, follow: values.follow === true, print });
    return 0;
  },
};

function tailOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`--tail ${text} is not a number of lines.`);
}

interface LogOptions {
  readonly tail: number | undefined;
  readonly follow: boolean;
  readonly print: (stream: LogStream, line: string) => void;
}

async function printLogs(task: ListedTask, streams: readonly LogStream[], options: LogOptions): Promise<void> {
  const { record, machine } = task;
  if (record === undefined) {
    throw new Error(
      `Task ${machine} was started by an earlier version of the driver, which kept no record of its logs: use "nomad alloc logs".`,
    );
  }
  if (record.stdoutPath === "/dev/null" && record.stderrPath === "/dev/null") {
    throw new Error(`Nomad collects no logs of task ${machine}: its job has logs { disabled = true }.`);
  }
  const readers = streams.map((stream) => ({ stream, files: new LogFiles(record, stream), lines: new LineBuffer() }));
  if (!options.follow && readers.every(({ files }) => !files.exists())) {
    throw new Error(
      `${record.directory}/alloc/logs has no logs of task ${machine}: its output is read by a program other than Nomad's collector, or was removed.`,
    );
  }
  for (const { stream, files, lines } of readers) {
    const before = lastLines(drain(files, lines), options.tail);
    for (const line of before) options.print(stream, line);
    if (!options.follow) printRest(stream, lines, options);
  }
  while (options.follow) {
    // Looked at before the logs: what was written until the removal is printed.
    const over = !isRegistered(machine);
    for (const { stream, files, lines } of readers) for (const line of drain(files, lines)) options.print(stream, line);
    if (over) break;
    await Bun.sleep(INTERVAL_MS);
  }
  for (const { stream, files, lines } of readers) {
    if (options.follow) printRest(stream, lines, options);
    files.close();
  }
}

function printRest(stream: LogStream, lines: LineBuffer, { print }: LogOptions): void {
  const rest = lines.rest();
  if (rest !== "") print(stream, rest);
}

function* drain(files: LogFiles, lines: LineBuffer): Generator<string> {
  for (let bytes = files.read(); bytes !== undefined; bytes = files.read()) yield* lines.push(bytes);
}

/** The last lines; all without a number. */
function lastLines(lines: Iterable<string>, count: number | undefined): Iterable<string> {
  if (count === undefined) return lines;
  const kept: string[] = [];
  for (const line of lines) {
    kept.push(line);
    if (kept.length > count) kept.shift();
  }
  return kept;
}
