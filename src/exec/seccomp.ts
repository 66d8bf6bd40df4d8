import { settles } from "../lib/deadline";
import { errorText } from "../lib/errors";
import { SYS, WAIT_ALL } from "../linux/constants";
import { describeErrno } from "../linux/ffi";
import { ProgramBuilder } from "../linux/syscall-program/builder";
import { runProgram } from "../linux/syscall-program/run";
import type { OpenContainer } from "./container";
import { EnterError } from "./session-plan";

const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_SECCOMP_GET_FILTER = 0x420c;
const PTRACE_DETACH = 17;
const STDOUT = 1;
/** BPF_MAXINSNS, and the size of struct sock_filter (linux/filter.h). */
const MAX_INSTRUCTIONS = 4096;
const INSTRUCTION_SIZE = 8;
/**
 * The maximum number of filters: systemd-nspawn installs about three for each architecture, and a process in a container may install
 * thousands on itself.
 */
export const MAX_FILTERS = 64;
const RECORD_SIZE = 8 + MAX_INSTRUCTIONS * INSTRUCTION_SIZE;

/**
 * A program that writes the seccomp filters of a process to its standard output, for {@link parseFilters}. The process
 * is stopped for that moment (ptrace(2); the kernel returns the filters only to a tracer).
 *
 * @param count how many it has: "Seccomp_filters" in /proc/PID/status
 * @throws RangeError for more than {@link MAX_FILTERS}
 */
export function filtersProgram(pid: number, count: number): Uint8Array {
  if (count > MAX_FILTERS) throw new RangeError(`At most ${MAX_FILTERS} filters can be read, not ${count}.`);
  const program = new ProgramBuilder();
  const records = program.space(RECORD_SIZE * count);
  program.call(SYS.ptrace, [PTRACE_SEIZE, pid, 0, 0]);
  program.call(SYS.ptrace, [PTRACE_INTERRUPT, pid, 0, 0]);
  program.call(SYS.wait4, [pid, program.space(8), WAIT_ALL, 0]);
  for (let index = 0; index < count; index += 1) {
    const record = records + index * RECORD_SIZE;
    program.call(SYS.ptrace, [PTRACE_SECCOMP_GET_FILTER, pid, index, record + 8], {}, record);
  }
  program.call(SYS.ptrace, [PTRACE_DETACH, pid, 0, 0]);
  for (let index = 0; index < count; index += 1) {
    program.call(SYS.write, [STDOUT, records + index * RECORD_SIZE, RECORD_SIZE]);
  }
  program.exit(0);
  return program.build();
}

/**
 * The filters from the output of {@link filtersProgram}, in the order in which they have to be installed.
 *
 * @param expected number of filters
 * @throws Error with the errno if the kernel did not return them, and if some are missing
 */
export function parseFilters(output: Uint8Array, expected: number): readonly Uint8Array[] {
  const filters: Uint8Array[] = [];
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  for (let at = 0; at + RECORD_SIZE <= output.length; at += RECORD_SIZE) {
    const count = Number(view.getBigInt64(at, true));
    if (count < 0) throw new Error(`${describeErrno(-count)}`);
    if (count === 0 || count > MAX_INSTRUCTIONS) throw new Error(`a filter with ${count} instructions is invalid`);
    filters.push(output.slice(at + 8, at + 8 + count * INSTRUCTION_SIZE));
  }
  if (filters.length !== expected) throw new Error(`only ${filters.length} of ${expected} were read`);
  // The kernel returns the newest first.
  return filters.reverse();
}

/** The filters of one task's containers: all have the same, so they are read once. */
export class FilterCache {
  #filters: Promise<readonly Uint8Array[]> | undefined;

  /** @throws EnterError as readFilters() does, and retries the next time */
  of(container: OpenContainer): Promise<readonly Uint8Array[]> {
    this.#filters ??= readFilters(container).catch((error: unknown) => {
      this.#filters = undefined;
      throw error;
    });
    return this.#filters;
  }
}

/** The deadline: a process that is blocked in its own hanging file system cannot be stopped to be read. */
const DEADLINE_MS = 5_000;

/**
 * The seccomp filters of a container's first process, to install on commands run in the container later: without them
 * no command is run.
 *
 * @throws EnterError if they cannot be read, or there are more than 64
 */
async function readFilters({
  leader,
  rights,
}: Pick<OpenContainer, "leader" | "rights">): Promise<readonly Uint8Array[]> {
  const count = rights.filters;
  if (count === 0) return [];
  if (count > MAX_FILTERS) throw filtersError(`it has ${count}, and at most ${MAX_FILTERS} can be installed`);
  const child = runProgram("nomad-nspawn-filters", filtersProgram(leader.pid, count), ["ignore", "pipe", "ignore"]);
  const { stdout } = child;
  if (!(stdout instanceof ReadableStream)) throw new Error("no pipe was created");
  const reading = new Response(stdout).bytes();
  try {
    if (!(await settles(reading, DEADLINE_MS)))
      throw new Error(`its first process could not be stopped within ${DEADLINE_MS / 1000} s`);
    return parseFilters(await reading, count);
  } catch (error) {
    throw filtersError(errorText(error));
  } finally {
    // The stopped process continues when the tracer ends.
    child.kill("SIGKILL");
  }
}

function filtersError(why: string): EnterError {
  return new EnterError(
    `Cannot run a command in the task's container: cannot read its seccomp filters: ${why}. An agent that runs under seccomp filters itself (SystemCallFilter= in its unit, or a container around it) cannot read them, and neither can any agent while another program traces the container's first process.`,
  );
}
