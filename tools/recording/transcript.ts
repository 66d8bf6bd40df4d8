/**
 * Recordings of commands in a terminal. A *step* is a command with what it printed; a *transcript* is the steps of a shell's session, found in
 * what `sh -v` prints: each command as it is read, and then its output.
 */

/** A line of output, and when it came, in seconds. */
export interface TimedLine {
  readonly at: number;
  readonly text: string;
}

/** A command and its output. */
export interface Step {
  /** Its lines; more than one with a here-document. */
  readonly command: readonly string[];
  /** When the shell read it, in seconds. */
  readonly at: number;
  readonly output: readonly TimedLine[];
}

/** The commands of a script: one on each line, or on several with a here-document. Pure. */
export function commandsOf(script: string): readonly (readonly string[])[] {
  const commands: string[][] = [];
  let end: string | undefined;
  for (const line of script.trimEnd().split("\n")) {
    if (end !== undefined) {
      commands.at(-1)?.push(line);
      if (line === end) end = undefined;
    } else if (line.trim() !== "") {
      commands.push([line]);
      end = /<<'?(\w+)'?/.exec(line)?.[1];
    }
  }
  return commands;
}

/**
 * The steps of a script in what `sh -v` printed. Pure.
 *
 * @throws Error if a command of the script was not read
 */
export function stepsOf(script: string, printed: readonly TimedLine[]): readonly Step[] {
  const commands = commandsOf(script);
  const starts: number[] = [];
  for (const [first] of commands) {
    const from = starts.at(-1) ?? -1;
    const found = printed.findIndex(({ text }, index) => index > from && text === first);
    if (found < 0) throw new Error(`The shell did not read ${JSON.stringify(first)}.`);
    starts.push(found);
  }
  return commands.map((command, index) => {
    const start = starts[index] ?? 0;
    const output = printed.slice(start + command.length, starts[index + 1]);
    return { command, at: printed[start]?.at ?? 0, output: withoutEmptyEnds(output) };
  });
}

function withoutEmptyEnds(lines: readonly TimedLine[]): readonly TimedLine[] {
  const filled = (line: TimedLine) => line.text.trim() !== "";
  return lines.slice(Math.max(lines.findIndex(filled), 0), lines.findLastIndex(filled) + 1);
}

/** Lines of what arrived in pieces; a line has the time of its last piece. Pure. */
export function linesOf(pieces: readonly TimedLine[]): readonly TimedLine[] {
  const lines: TimedLine[] = [];
  let rest = "";
  for (const { at, text } of pieces) {
    const parts = `${rest}${text}`.split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts.map((part) => ({ at, text: part })));
  }
  return rest === "" ? lines : [...lines, { at: pieces.at(-1)?.at ?? 0, text: rest }];
}

/** What is the same in each run of a step: the command, and its last line without IDs, times and counts. Pure. */
export function steadyPart({ command, output }: Pick<Step, "command" | "output">): string {
  const last = output.at(-1)?.text ?? "";
  const steady = last
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:]+Z/g, "TIME")
    .replaceAll(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "ID")
    .replaceAll(/\b[0-9a-f]{8}\b/g, "ID")
    .replaceAll(/\d+(?:\.\d+)?m?s\b/g, "DURATION")
    .replace(/^(No errors).*/, "$1")
    .replaceAll(/ +/g, " ");
  return `${command.join("\n")}\n${steady.trim()}`;
}
