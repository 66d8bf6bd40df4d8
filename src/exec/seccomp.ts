import { errorText } from "../host/error-text";
import { settles } from "../supervisor/settles";
import type { Container } from "./container";
import { runProgram } from "./run-program";
import { filtersProgram, MAX_FILTERS, parseFilters } from "./seccomp-program";
import { EnterError } from "./session-plan";

/** The filters of one task's containers: all have the same, so they are read once. */
export class FilterCache {
  #filters: Promise<readonly Uint8Array[]> | undefined;

  /** @throws EnterError as readFilters() does, and retries the next time */
  of(container: Container): Promise<readonly Uint8Array[]> {
    this.#filters ??= readFilters(container).catch((error: unknown) => {
      this.#filters = undefined;
      throw error;
    });
    return this.#filters;
  }
}

/** The deadline: a process that is blocked in its own hanging file system cannot be stopped to be read. */
const deadlineMs = 5_000;

/**
 * The seccomp filters of a container's first process, to install on commands run in the container later: without them
 * no command is run.
 *
 * @throws EnterError if they cannot be read, or there are more than 64
 */
export async function readFilters({
  leader,
  rights,
}: Pick<Container, "leader" | "rights">): Promise<readonly Uint8Array[]> {
  const count = rights.filters;
  if (count === 0) return [];
  if (count > MAX_FILTERS) throw filtersError(`it has ${count}, and at most ${MAX_FILTERS} can be installed`);
  const child = runProgram("nomad-nspawn-filters", filtersProgram(leader.pid, count), ["ignore", "pipe", "ignore"]);
  const { stdout } = child;
  if (!(stdout instanceof ReadableStream)) throw new Error("no pipe was created");
  const reading = new Response(stdout).bytes();
  try {
    if (!(await settles(reading, deadlineMs)))
      throw new Error(`its first process could not be stopped within ${deadlineMs / 1000} s`);
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
