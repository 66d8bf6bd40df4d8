import { parseArgs } from "node:util";
import { FilterCache } from "../exec/seccomp";
import { openSession } from "../exec/session";
import { exitCode } from "../exec/session-plan";
import { type Command, orUsageError, UsageError } from "./command";
import { findContainer } from "./exec/find-container";
import { joinStreams } from "./exec/join-streams";

/** `exec`: a command in a running container, without Nomad. */
export const execCommand: Command = {
  name: "exec",
  summary: "a command in a running container of the driver's",
  usage: "[--tty | --no-tty] [--user USER] MACHINE [--] COMMAND…",
  help: [
    "Runs a command in a container that the driver started, and ends with its exit code; 128 + N where signal N ended it.",
    "It runs in the container's namespaces and cgroup, with its capabilities, system call filters and variables, as root or",
    "as the user named. For tasks, `nomad alloc exec` does the same through the agent.",
    "",
    "MACHINE is the machine's name, which the task's events and machinectl tell.",
    "",
    "  --tty        give the command a terminal; the default where this runs in one",
    "  --no-tty     give it none",
    "  --user USER  a user of the container, by name or number",
    "",
    "Example: nomad-driver-nspawn exec web-4be1e5b0-8b1c-0d44-9ad4-3a0f6e5a9a52 /bin/sh",
  ].join("\n"),
  async run(args, terminal) {
    const { machine, command, user, tty } = execOptions(args);
    const { handle, context, close } = await findContainer(machine);
    try {
      const filters = new FilterCache();
      const session = await openSession(
        handle,
        { ...context, ...(user === undefined ? {} : { user }) },
        { command, terminal: tty, filters: (container) => filters.of(container) },
      );
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

interface ExecOptions {
  readonly machine: string;
  readonly command: readonly string[];
  readonly user: string | undefined;
  readonly tty: boolean;
}

/** Options end where the machine's name begins: those behind it are the command's. */
function execOptions(args: readonly string[]): ExecOptions {
  const known = { tty: { type: "boolean" }, "no-tty": { type: "boolean" }, user: { type: "string" } } as const;
  const first = args.findIndex((arg, index) => !arg.startsWith("-") && args[index - 1] !== "--user");
  const end = first < 0 ? args.length : first;
  const { values } = orUsageError(() => parseArgs({ args: args.slice(0, end), options: known }));
  const [machine, ...rest] = args.slice(end);
  const command = rest[0] === "--" ? rest.slice(1) : rest;
  if (machine === undefined) throw new UsageError("Say in which machine.");
  if (command.length === 0) throw new UsageError("Say which command.");
  if (values.tty === true && values["no-tty"] === true) throw new UsageError("--tty and --no-tty exclude each other.");
  const here = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (values.tty === true && !here) throw new UsageError("--tty needs a terminal, and this does not run in one.");
  return { machine, command, user: values.user, tty: here && values["no-tty"] !== true };
}
