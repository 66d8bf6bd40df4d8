/**
 * The command line of the executable, for operators. A *command* has a name, a help text, and a function that gets arguments and a
 * terminal and returns an exit code. `doctor` (doctor/) reads facts about the host, evaluates them to *findings*, and says how to fix
 * what is wrong. `run` (run/) starts this same executable as a plugin and drives it as an agent would, so that a container can be tried
 * without Nomad. `exec` (exec/) runs a command in a container of the driver. `ps`, `inspect`, `logs`, `stats` and `events` (tasks/) show the
 * tasks of this host. `images` lists, prunes and verifies the image store.
 * `schema` and `docs` print the options.
 *
 * Commands may use every layer below. None changes what a running plugin relies on except through the same locks.
 */

import { errorText } from "../lib/errors";
import { type Command, HelpRequest, processTerminal, type Terminal, UsageError } from "./command";
import { completionCommand } from "./completion";
import { doctorCommand } from "./doctor/doctor";
import { execCommand } from "./exec/exec";
import { commandHelp, helpCommand, versionCommand } from "./help";
import { imagesCommand } from "./images";
import { docsCommand, schemaCommand } from "./reference";
import { runCommand } from "./run/run";
import { eventsCommand } from "./tasks/events";
import { inspectCommand } from "./tasks/inspect";
import { logsCommand } from "./tasks/logs";
import { psCommand } from "./tasks/ps";
import { statsCommand } from "./tasks/stats";
import { validateCommand } from "./validate/validate";

const commands: readonly Command[] = [
  doctorCommand,
  runCommand,
  validateCommand,
  execCommand,
  psCommand,
  inspectCommand,
  logsCommand,
  statsCommand,
  eventsCommand,
  imagesCommand,
  schemaCommand,
  docsCommand,
  versionCommand,
];

/** Options that are aliases of commands. */
const spellings: Readonly<Record<string, string>> = {
  "--version": "version",
  "-v": "version",
  "--help": "help",
  "-h": "help",
};

const USAGE_CODE = 2;

/**
 * Runs the command that the arguments name; without arguments it shows the help.
 *
 * @returns exit code: the command's own, 1 for an error, 2 for wrong usage
 */
export async function commandLine(args: readonly string[], terminal: Terminal = processTerminal()): Promise<number> {
  const [word = "help", ...rest] = args;
  const name = spellings[word] ?? word;
  const tools = [...commands, completionCommand(commands)];
  const all = [...tools, helpCommand(tools)];
  const command = all.find((candidate) => candidate.name === name);
  if (command === undefined) {
    terminal.err(
      `Unknown command ${JSON.stringify(word)}. Available commands: ${all.map((known) => known.name).join(", ")}.\n`,
    );
    return USAGE_CODE;
  }
  try {
    return await command.run(rest, terminal);
  } catch (error) {
    if (error instanceof HelpRequest) {
      terminal.out(commandHelp(command, terminal));
      return 0;
    }
    if (!(error instanceof UsageError)) {
      terminal.err(`${errorText(error)}\n`);
      return 1;
    }
    terminal.err(`${error.message}\nSee: nomad-driver-nspawn help ${command.name}\n`);
    return USAGE_CODE;
  }
}
