import { type Command, parseArguments, UsageError } from "./command";
import { readTasks } from "./tasks/read-tasks";

const PROGRAM = "nomad-driver-nspawn";

/** `completion`: what a shell offers after a press of the tab key. */
export function completionCommand(commands: readonly Command[]): Command {
  const completion: Command = {
    name: "completion",
    summary: "print the completion for bash or zsh",
    usage: "bash | zsh",
    completes: ["bash", "zsh"],
    help: [
      "Prints a script that completes commands, options and names of tasks.",
      "",
      `bash: ${PROGRAM} completion bash > /usr/share/bash-completion/completions/${PROGRAM}`,
      `zsh:  ${PROGRAM} completion zsh > /usr/share/zsh/vendor-completions/_${PROGRAM}`,
    ].join("\n"),
    async run(args, terminal) {
      const [shell, ...more] = parseArguments(args, {}, true).positionals;
      if (more.length > 0) throw new UsageError('Expected "bash" or "zsh".');
      const all = [...commands, completion];
      if (shell === "bash") terminal.out(bashCompletion(all));
      else if (shell === "zsh") terminal.out(zshCompletion(all));
      // For the scripts.
      else if (shell === "tasks") terminal.out((await taskNames()).map((name) => `${name}\n`).join(""));
      else throw new UsageError('Expected "bash" or "zsh".');
      return 0;
    },
  };
  return completion;
}

/** The names of tasks, or of the machines of those that share a name or have no record. */
async function taskNames(): Promise<string[]> {
  // Without root there are none: a completion has no place for an error.
  const tasks = await readTasks().catch(() => []);
  const names = tasks.map(({ record, machine }) => record?.task ?? machine);
  const unique = names.filter((name) => names.indexOf(name) === names.lastIndexOf(name));
  return [
    ...unique,
    ...tasks.filter(({ record }) => !unique.includes(record?.task ?? "")).map(({ machine }) => machine),
  ];
}

/** The options that a command's usage and help begin lines with, or have in brackets. */
export function optionsOf({ usage, help }: Pick<Command, "usage" | "help">): string[] {
  const lines = help.split("\n").flatMap((line) => /^ +(?:-\w, )?(--[a-z-]+)/.exec(line)?.[1] ?? []);
  return [...new Set([...(usage.match(/--[a-z-]+/g) ?? []), ...lines, "--help"])];
}

function bashCompletion(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const { name, completes } = command;
    const words = Array.isArray(completes) ? completes.join(" ") : "";
    const kind = typeof completes === "string" ? completes : "words";
    return `    ${name}) options="${optionsOf(command).join(" ")}"; words="${words}"; kind=${kind} ;;`;
  });
  return `# Completion of ${PROGRAM} for bash.
_nomad_driver_nspawn() {
  local current="\${COMP_WORDS[COMP_CWORD]}" options="" words="" kind=words
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "${commands.map(({ name }) => name).join(" ")} help --help --version" -- "$current")
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    help) words="${commands.map(({ name }) => name).join(" ")}" ;;
  esac
  if [[ "$current" == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [ "$kind" = files ]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    compopt -o filenames 2>/dev/null || true
  elif [ "$COMP_CWORD" -eq 2 ]; then
    [ "$kind" = tasks ] && words="$("\${COMP_WORDS[0]}" completion tasks 2>/dev/null)"
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -F _nomad_driver_nspawn ${PROGRAM}
`;
}

function zshCompletion(commands: readonly Command[]): string {
  const described = commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`);
  const cases = commands.map((command) => {
    const { name, completes } = command;
    const words = Array.isArray(completes) ? completes.join(" ") : "";
    const kind = typeof completes === "string" ? completes : "words";
    return `    ${name}) options=(${optionsOf(command).join(" ")}); words_of=(${words}); kind=${kind} ;;`;
  });
  return `#compdef ${PROGRAM}
# Completion of ${PROGRAM} for zsh.
_nomad_driver_nspawn() {
  local -a commands options words_of
  local kind=words
  commands=(
${described.join("\n")}
    ${quoted("help:show the help of a command")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "\${words[2]}" in
${cases.join("\n")}
    help) words_of=(${commands.map(({ name }) => name).join(" ")}) ;;
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then
    compadd -- $options
  elif [[ $kind == files ]]; then
    _files
  elif (( CURRENT == 3 )); then
    [[ $kind == tasks ]] && words_of=(\${(f)"$("\${words[1]}" completion tasks 2>/dev/null)"})
    compadd -- $words_of
  fi
}
if [[ "$funcstack[1]" == _${PROGRAM} ]]; then
  _nomad_driver_nspawn "$@"
else
  compdef _nomad_driver_nspawn ${PROGRAM}
fi
`;
}

/** A text in single quotes of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
