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
import { joinStreams } from "./attach-streams";
import { findContainer } from "./find-container";

/** `exec`: a command in a running container, without Nomad. */
export const execCommand: Command = {
  name: "exec",
  summary: "run a command in a running container of this driver",
  usage: "[--tty | --no-tty] [--user USER] MACHINE [--] COMMAND…",
  help: [
    "Runs a command in a container that the driver started, and exits with its exit code; 128 + N if signal N killed it.",
    "It runs in the container's namespaces and cgroup, with its capabilities, seccomp filters and environment, as root or",
    "as USER. For tasks, `nomad alloc exec` does the same through the agent.",
    "",
    "MACHINE is the name of the machine; see `nomad alloc status` or `machinectl list`.",
    "",
    "  --tty        allocate a terminal; the default if this command runs in one",
    "  --no-tty     do not allocate a terminal",
    "  --user USER  a user of the container, by name or number",
    "",
    "Example: nomad-driver-nspawn exec web-4be1e5b0-8b1c-0d44-9ad4-3a0f6e5a9a52 /bin/sh",
  ].join("\n"),
  async run(args, terminal) {
    const { machine, command, user, tty } = execOptions(args);
    const { handle, context, close } = await findContainer(machine);
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

/** Options end at the machine's name: those after it belong to the command. */
function execOptions(args: readonly string[]) {
  const known = { tty: { type: "boolean" }, "no-tty": { type: "boolean" }, user: { type: "string" } } as const;
  const first = args.findIndex((arg, index) => !arg.startsWith("-") && args[index - 1] !== "--user");
  const end = first < 0 ? args.length : first;
  const { values } = parseArguments(args.slice(0, end), known);
  const [machine, ...rest] = args.slice(end);
  const command = rest[0] === "--" ? rest.slice(1) : rest;
  if (machine === undefined) throw new UsageError("Missing argument: MACHINE.");
  if (command.length === 0) throw new UsageError("Missing argument: COMMAND.");
  if (values.tty === true && values["no-tty"] === true) throw new UsageError("--tty and --no-tty exclude each other.");
  const here = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (values.tty === true && !here) throw new UsageError("--tty needs a terminal, but stdin or stdout is not one.");
  return { machine, command, user: values.user, tty: here && values["no-tty"] !== true };
}
