import { commit, commitTime, version } from "../lib/executable";
import { MINIMUM_VERSION, NEWEST_VERSION } from "../nspawn/features";
import { HANDLE_VERSION } from "../task/task-handle";
import { type Command, paint, parseArguments, type Terminal, UsageError } from "./command";

const PROGRAM = "nomad-driver-nspawn";

/** `help`: the list of commands, or the help of one. */
export function helpCommand(commands: readonly Command[]): Command {
  const help: Command = {
    name: "help",
    summary: "show this list, or the help of one command",
    usage: "[COMMAND]",
    help: "Lists the commands, or shows the help of one.",
    async run(args, terminal) {
      const [name] = parseArguments(args, {}, true).positionals;
      const command = [...commands, help].find((candidate) => candidate.name === name);
      if (command !== undefined) terminal.out(commandHelp(command, terminal));
      else if (name === undefined) terminal.out(overview([...commands, help], terminal));
      else throw new UsageError(`Unknown command ${JSON.stringify(name)}.`);
      return 0;
    },
  };
  return help;
}

function overview(commands: readonly Command[], terminal: Terminal): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    `${paint(terminal, "bold", PROGRAM)} runs systemd-nspawn containers for HashiCorp Nomad.`,
    "",
    "A Nomad agent starts it from its plugin_dir. Run from a shell, it offers these commands:",
    "",
    ...commands.map(({ name, summary }) => `  ${paint(terminal, "bold", name.padEnd(width))}  ${summary}`),
    "",
    `Run "${PROGRAM} help COMMAND" or "${PROGRAM} COMMAND --help" for details.`,
    "",
  ].join("\n");
}

/** The help of one command. */
export function commandHelp(command: Command, terminal: Terminal): string {
  const line = `${PROGRAM} ${command.name} ${command.usage}`.trim();
  return `${paint(terminal, "bold", line)}\n\n${command.help}\n`;
}

/** `version`: the version of this build. */
export const versionCommand: Command = {
  name: "version",
  summary: "print the version of this build",
  usage: "[--json]",
  help: [
    "Prints the version, the commit it was built from with its time, and the version of the Bun runtime in it. With --json also",
    "the platform it is for, the versions of systemd-nspawn that it accepts, and the version of its records on a client.",
  ].join("\n"),
  async run(args, terminal) {
    const { values } = parseArguments(args, { json: { type: "boolean" } });
    const build = {
      version,
      commit,
      time: commitTime ?? null,
      bun: Bun.version,
      platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
      nspawn: { oldest: MINIMUM_VERSION, newest: NEWEST_VERSION },
      handle: HANDLE_VERSION,
    };
    terminal.out(
      values.json === true
        ? `${JSON.stringify(build)}\n`
        : `nomad-driver-nspawn ${version} (commit ${commit}, bun ${Bun.version})\n`,
    );
    return 0;
  },
};
