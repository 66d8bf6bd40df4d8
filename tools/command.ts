/** Runs other programs from scripts and tests: with argument vectors only, never a shell. */

import { constants } from "node:os";

/** The result of a finished command. */
export interface Finished {
  /** Exit code; 128 + N if signal N killed it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Receives a part of a command's output. */
export type TakeOutput = (bytes: Uint8Array, from: "stdout" | "stderr") => void;

/** How to run a command. */
export interface CommandOptions {
  readonly cwd?: string;
  /** The whole environment; by default this process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** "show" forwards the output to this process's own instead of collecting it; a function gets each part as it arrives. */
  readonly output?: "collect" | "show" | TakeOutput;
  readonly stdin?: string;
  /** Kills the command with SIGKILL when aborted. */
  readonly signal?: AbortSignal;
}

/** Thrown by {@link run} if a command exits with another code than 0. */
export class CommandFailedError extends Error {
  override readonly name = "CommandFailedError";
  readonly finished: Finished;

  constructor(argv: readonly string[], finished: Finished) {
    const said = (finished.stderr.trim() || finished.stdout.trim()).split("\n").slice(-15).join("\n");
    super(`'${argv.join(" ")}' ended with exit code ${finished.code}${said === "" ? "" : `:\n${said}`}`);
    this.finished = finished;
  }
}

/** Runs a command until it exits and returns its result, whatever the exit code. */
export async function attempt(argv: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const output = options.output === "show" ? "inherit" : "pipe";
  const child = Bun.spawn([...argv], {
    stdin: options.stdin === undefined ? "ignore" : new TextEncoder().encode(options.stdin),
    stdout: output,
    stderr: output,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
    ...(options.signal === undefined ? {} : { signal: options.signal, killSignal: "SIGKILL" as const }),
  });
  const take = typeof options.output === "function" ? options.output : undefined;
  const [stdout, stderr] = await Promise.all([
    textOf(child.stdout, take && ((bytes) => take(bytes, "stdout"))),
    textOf(child.stderr, take && ((bytes) => take(bytes, "stderr"))),
    child.exited,
  ]);
  return { code: child.exitCode ?? 128 + signalNumber(child.signalCode), stdout, stderr };
}

/**
 * Runs a command that has to succeed.
 *
 * @throws CommandFailedError if its exit code is not 0
 */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const finished = await attempt(argv, options);
  if (finished.code !== 0) throw new CommandFailedError(argv, finished);
  return finished;
}

/** The text of a stream; "" if another function takes it. */
async function textOf(
  stream: ReadableStream<Uint8Array> | undefined,
  take: ((bytes: Uint8Array) => void) | undefined,
): Promise<string> {
  if (stream === undefined) return "";
  if (take === undefined) return new Response(stream).text();
  for await (const bytes of stream) take(bytes);
  return "";
}

/** Number of the signal that killed a process; 0 if none did. */
export function signalNumber(signal: NodeJS.Signals | number | null): number {
  if (typeof signal === "number") return signal;
  return signal === null ? 0 : constants.signals[signal];
}
