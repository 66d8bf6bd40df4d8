import type { Terminal } from "./terminal";

/** One command of the command line. */
export interface Command {
  readonly name: string;
  /** A short description for the list of commands. */
  readonly summary: string;
  /** What `help NAME` shows, without the line of the command itself. */
  readonly help: string;
  /** Arguments after the name, as the first line of the help shows them. */
  readonly usage: string;
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

/**
 * Runs a call of parseArgs.
 *
 * @throws UsageError in place of parseArgs' own errors
 */
export function orUsageError<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(sentence(error.message));
    throw error;
  }
}

function sentence(text: string): string {
  const [first = ""] = text.split("\n");
  return first.endsWith(".") ? first : `${first}.`;
}
