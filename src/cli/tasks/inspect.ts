import { readIfThere } from "../../lib/files";
import { machinePaths } from "../../machine/files";
import { settingsFilePath } from "../../nspawn/environment";
import { type Command, parseArguments, UsageError } from "../command";
import { taskJson } from "./ps";
import { type ListedTask, readTasks } from "./read-tasks";
import { resolveTask } from "./resolve-task";

/** What the argument TASK of several commands is. */
export const TASK_HELP =
  "TASK is the name of a task, the beginning of its allocation's ID, both as ALLOCATION/TASK, or its machine or unit.";

/** `inspect`: everything about one task. */
export const inspectCommand: Command = {
  name: "inspect",
  summary: "show a task's config, command line of systemd-nspawn, paths and state",
  usage: "TASK [--json]",
  completes: "tasks",
  help: [
    "Shows what is known of a task: its state as in ps, its config without secrets, the command line of its systemd-nspawn without",
    "variables, and its paths on the host. Prints JSON, with or without --json. Needs root, and changes nothing.",
    "",
    TASK_HELP,
  ].join("\n"),
  async run(args, terminal) {
    const { positionals } = parseArguments(args, { json: { type: "boolean" } }, true);
    const task = resolveTask(await readTasks(), oneTask(positionals));
    terminal.out(`${JSON.stringify(inspection(task, commandLineOf(task)), undefined, 2)}\n`);
    return 0;
  },
};

/** The only argument of a command. @throws UsageError */
export function oneTask(positionals: readonly string[]): string {
  const [task, ...more] = positionals;
  if (task === undefined) throw new UsageError("Missing argument: TASK.");
  if (more.length > 0) throw new UsageError(`Unexpected argument ${JSON.stringify(more[0])}: expected one TASK.`);
  return task;
}

/** The only argument of a command that may have none. @throws UsageError */
export function optionalTask(positionals: readonly string[]): string | undefined {
  return positionals.length === 0 ? undefined : oneTask(positionals);
}

/** @param argv of systemd-nspawn; undefined if it does not run */
export function inspection(task: ListedTask, argv: readonly string[] | undefined) {
  const { record, machine } = task;
  const { directory } = machinePaths(machine);
  return {
    ...taskJson(task),
    mode: record?.mode ?? null,
    config: record?.config ?? null,
    nspawn_command: argv === undefined ? null : withoutVariables(argv),
    paths: {
      alloc_dir: record?.directory ?? null,
      task_dir: record === undefined ? null : `${record.directory}/${record.task}`,
      stdout: record?.stdoutPath ?? null,
      stderr: record?.stderrPath ?? null,
      driver_files: directory,
      settings: settingsFilePath(machine),
      cgroup: task.nspawnPid === undefined ? null : cgroupOf(task.nspawnPid),
    },
  };
}

function commandLineOf({ nspawnPid }: ListedTask): string[] | undefined {
  if (nspawnPid === undefined) return undefined;
  const text = readIfThere(`/proc/${nspawnPid}/cmdline`);
  return text === undefined || text === "" ? undefined : text.split("\0").slice(0, -1);
}

/** The driver passes variables by name only; whatever a switch has as a value is left out all the same. */
export function withoutVariables(argv: readonly string[]): string[] {
  const end = argv.indexOf("--");
  return argv.map((word, index) =>
    end < 0 || index < end ? word.replace(/^(--(?:setenv|set-credential)=[^=:]*)[=:].*$/s, "$1") : word,
  );
}

/** The cgroup of systemd-nspawn in the v2 tree, or in that of systemd. */
function cgroupOf(pid: number): string | null {
  const text = readIfThere(`/proc/${pid}/cgroup`) ?? "";
  return /^0::(.+)$/m.exec(text)?.[1] ?? /:name=systemd:(.+)$/m.exec(text)?.[1] ?? null;
}
