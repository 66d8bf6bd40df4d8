/**
 * `exec`: a command in a running container of the driver, without Nomad. find-container.ts finds the container by its machine name, under
 * either supervisor, and reads from its processes what a task has from its config: how the payload runs, and its variables.
 * attach-streams.ts connects the command with the terminal of the caller.
 */

import { FilterCache } from "../../exec/seccomp";
import { openSession } from "../../exec/session";
import { exitCode } from "../../exec/session-plan";
import { defined } from "../../lib/objects";
import { type Command, parseArguments, UsageError } from "../command";
import { TASK_HELP } from "../tasks/inspect";
import { readTasks } from "../tasks/read-tasks";
import { resolveTask } from "../tasks/resolve-task";
import { joinStreams } from "./attach-streams";
import { findContainer } from "./find-container";

/** `exec`: a command in a running container, without Nomad. */
export const execCommand: Command = {
  name: "exec",
  summary: "run a command in a running container of this driver",
  usage: "[--tty | --no-tty] [--user USER] TASK [--] COMMAND…",
  completes: "tasks",
  help: [
    "Runs a command in a container that the driver started, and exits with its exit code; 128 + N if signal N killed it.",
    "It runs in the container's namespaces and cgroup, with its capabilities, seccomp filters and environment, as root or",
    "as USER. For tasks, `nomad alloc exec` does the same through the agent.",
    "",
    TASK_HELP,
    "",
    "  --tty        allocate a terminal; the default if this command runs in one",
    "  --no-tty     do not allocate a terminal",
    "  --user USER  a user of the container, by name or number",
    "",
    "Example: nomad-driver-nspawn exec web /bin/sh",
  ].join("\n"),
  async run(args, terminal) {
    const { task, command, user, tty } = execOptions(args);
    const { handle, context, close } = await findContainer(await machineOf(task));
    try {
      const request = { command, terminal: tty, filters: new FilterCache() };
      const session = await openSession(handle, { ...context, ...defined({ user }) }, request);
      try {
        await joinStreams(session, tty, process);
        const end = await session.ended;
        if (end.complaint !== undefined) terminal.err(end.complaint);
        return exitCode(end);
      } finally {
        await session.close();
      }
    } finally {
      await close();
    }
  },
};

/** A container without a task's record, such as one of an interrupted start, is found by its machine's name. */
async function machineOf(text: string): Promise<string> {
  const tasks = await readTasks();
  return tasks.length === 0 ? text : resolveTask(tasks, text).machine;
}

/** Options end at the task's name: those after it belong to the command. */
function execOptions(args: readonly string[]) {
  const known = { tty: { type: "boolean" }, "no-tty": { type: "boolean" }, user: { type: "string" } } as const;
  const first = args.findIndex((arg, index) => !arg.startsWith("-") && args[index - 1] !== "--user");
  const end = first < 0 ? args.length : first;
  const { values } = parseArguments(args.slice(0, end), known);
  const [task, ...rest] = args.slice(end);
  const command = rest[0] === "--" ? rest.slice(1) : rest;
  if (task === undefined) throw new UsageError("Missing argument: TASK.");
  if (command.length === 0) throw new UsageError("Missing argument: COMMAND.");
  if (values.tty === true && values["no-tty"] === true) throw new UsageError("--tty and --no-tty exclude each other.");
  const here = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (values.tty === true && !here) throw new UsageError("--tty needs a terminal, but stdin or stdout is not one.");
  return { task, command, user: values.user, tty: here && values["no-tty"] !== true };
}
