import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

/** One command of the command line. */
export interface Command {
  readonly name: string;
  /** A short description for the list of commands. */
  readonly summary: string;
  /** What `help NAME` shows, without the line of the command itself. */
  readonly help: string;
  /** Arguments after the name, as the first line of the help shows them. */
  readonly usage: string;
  /** What a shell offers as its first argument: words, names of tasks, or paths of files; absent: nothing but options. */
  readonly completes?: readonly string[] | "tasks" | "files";
  /**
   * @returns exit code
   * @throws UsageError for invalid arguments
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** Thrown for invalid arguments of a command; the message is a sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Thrown when the arguments of a command ask for its help. */
export class HelpRequest extends Error {
  override readonly name = "HelpRequest";
}

/**
 * Parses a command's arguments with parseArgs().
 *
 * @throws UsageError in place of parseArgs' own errors; HelpRequest for --help or -h, whatever else is wrong
 */
export function parseArguments<Options extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: Options,
  allowPositionals = false,
) {
  const end = args.indexOf("--");
  const asked = (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
  if (asked) throw new HelpRequest();
  try {
    return parseArgs({ args: [...args], options, allowPositionals });
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(sentence(error.message));
    throw error;
  }
}

function sentence(text: string): string {
  const [first = ""] = text.split("\n");
  return first.endsWith(".") ? first : `${first}.`;
}

/** Where a command prints. */
export interface Terminal {
  /** Results. */
  out(text: string): void;
  /** Diagnostics. */
  err(text: string): void;
  /** Whether results go to a terminal that supports colours. */
  readonly colours: boolean;
}

/** The process's own terminal; NO_COLOR (no-color.org) turns colours off. */
export function processTerminal(): Terminal {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    colours: process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
  };
}

/** Colours, as SGR parameters. */
const sgr = { green: "32", yellow: "33", red: "31", dim: "2", bold: "1" } as const;

/** Colours a text if the terminal supports colours. */
export function paint(terminal: Pick<Terminal, "colours">, colour: keyof typeof sgr, text: string): string {
  return terminal.colours ? `\x1b[${sgr[colour]}m${text}\x1b[0m` : text;
}
