import { constants } from "node:os";
import { isAbsolute } from "node:path";
import { describeErrno, errnoEntry } from "../linux/ffi";
import { decodeWaitStatus, type ProcessEnd } from "../linux/pidfd";
import type { ContainerUser } from "../values/passwd";
import { SIGKILL } from "../values/signals";
import { FIRST_STEP, REPORT_KIND, STEPS } from "./enter-program";

/** The settings of a task that also apply to commands run in its container. */
export interface ExecContext {
  /** Name or number of the user the task's command runs as; root if absent. */
  readonly user?: string;
  readonly workingDirectory?: string;
  /** The task's variables. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How a session ended: as Nomad reports it, and a message for standard error if no command ran. */
export interface SessionEnd extends ProcessEnd {
  readonly complaint?: string;
}

/** Thrown if the container could not be entered. */
export class EnterError extends Error {
  override readonly name = "EnterError";
}

/** systemd-nspawn's own default PATH. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const RECORD_SIZE = 16;
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const { ENOENT, ENOTDIR } = constants.errno;
/** The most frequent errors of execve(2), in words. */
const ERRORS: Readonly<Record<string, string>> = {
  ENOENT: "no such file in the container",
  E2BIG: "its arguments and environment are too long",
  ENOEXEC: "not an executable for this machine",
  ENOMEM: "out of memory",
  EACCES: "permission denied",
  ENOTDIR: "a part of its path is not a directory",
  ELOOP: "its path has too many symbolic links",
};

/** The command's environment: what systemd-nspawn would set, the terminal's variables, overridden by the task's. */
export function sessionEnvironment(context: ExecContext, user: ContainerUser, terminal: boolean): readonly string[] {
  const variables = {
    PATH: DEFAULT_PATH,
    container: "systemd-nspawn",
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    ...(terminal ? { TERM: "xterm-256color" } : {}),
    ...context.environment,
  };
  return Object.entries(variables).map(([name, value]) => `${name}=${value}`);
}

/** Paths in the container that a command's name can refer to, as execvp(3) tries them. */
export function programPaths(command: string, environment: Readonly<Record<string, string>>): readonly string[] {
  if (command.includes("/")) return [command];
  return (environment["PATH"] ?? DEFAULT_PATH)
    .split(":")
    .filter((directory) => isAbsolute(directory))
    .map((directory) => `${directory}/${command}`);
}

/** The working directory; the task's configured one has to exist, a home need not. */
export function workingDirectories({ workingDirectory }: ExecContext, { home }: ContainerUser): readonly string[] {
  return workingDirectory === undefined ? [home, "/"] : [workingDirectory];
}

/** Parses the report of the entering program. Without a report it was killed. @throws EnterError if the container could not be entered */
export function sessionEnd(report: Uint8Array, command: string): SessionEnd {
  const view = new DataView(report.buffer, report.byteOffset, report.byteLength);
  let ended: SessionEnd = { code: 0, signal: SIGKILL };
  let refusal: number | undefined;
  for (let at = 0; at + RECORD_SIZE <= report.length; at += RECORD_SIZE) {
    const kind = Number(view.getBigInt64(at, true));
    const value = view.getBigInt64(at + 8, true);
    if (kind === REPORT_KIND.ended) ended = decodeWaitStatus(Number(value & 0xffffn));
    else if (kind === REPORT_KIND.notRun) refusal = refusalOf(refusal, Number(-value));
    else throw enterError(kind - FIRST_STEP, Number(-value));
  }
  if (refusal === undefined) return ended;
  const found = refusal !== ENOENT && refusal !== ENOTDIR;
  return {
    code: found ? NOT_EXECUTABLE : NOT_FOUND,
    signal: 0,
    complaint: `${JSON.stringify(command)} cannot be run: ${ERRORS[errnoEntry(refusal)[0]] ?? describeErrno(refusal)}.\n`,
  };
}

/** Of the errors of all tried paths, the one of a program that existed. */
function refusalOf(before: number | undefined, errno: number): number {
  return before === undefined || before === ENOENT || before === ENOTDIR ? errno : before;
}

function enterError(step: number, errno: number): EnterError {
  const what = STEPS[step] ?? "unknown step";
  return new EnterError(`Cannot run a command in the task's container: ${what}: ${describeErrno(errno)}.`);
}

/** The exit code that shells and Nomad use for a command killed by a signal. */
export function exitCode({ code, signal }: SessionEnd): number {
  return signal === 0 ? code : 128 + signal;
}
