import { errorText } from "../host/error-text";
import { settles } from "../supervisor/settles";
import type { Container } from "./container";
import { runProgram } from "./run-program";
import { filtersProgram, MAX_FILTERS, parseFilters } from "./seccomp-program";
import { EnterError } from "./session-plan";

/** The filters of one task's containers: they are the same for all of them, so the first one is asked once. */
export class FilterCache {
  #filters: Promise<readonly Uint8Array[]> | undefined;

  /** @throws EnterError as readFilters() does, and asks again the next time */
  of(container: Container): Promise<readonly Uint8Array[]> {
    this.#filters ??= readFilters(container).catch((error: unknown) => {
      this.#filters = undefined;
      throw error;
    });
    return this.#filters;
  }
}

/** How long it may take: what waits for a hanging file system of its own cannot be stopped to be asked. */
const deadlineMs = 5_000;

/**
 * The system call filters of a container's first process, to be taken on by what is run in the container later: without them
 * nothing is run there.
 *
 * @throws EnterError where they cannot be read, and where there are more than 64
 */
export async function readFilters({
  leader,
  rights,
}: Pick<Container, "leader" | "rights">): Promise<readonly Uint8Array[]> {
  const count = rights.filters;
  if (count === 0) return [];
  if (count > MAX_FILTERS) throw refused(`it has ${count} of them, of which ${MAX_FILTERS} can be taken on at most`);
  const child = runProgram("nomad-nspawn-filters", filtersProgram(leader.pid, count), ["ignore", "pipe", "ignore"]);
  const { stdout } = child;
  if (!(stdout instanceof ReadableStream)) throw new Error("no pipe was made");
  const reading = new Response(stdout).bytes();
  try {
    if (!(await settles(reading, deadlineMs)))
      throw new Error(`its first process did not stop within ${deadlineMs / 1000} s`);
    return parseFilters(await reading, count);
  } catch (error) {
    throw refused(errorText(error));
  } finally {
    // What it stopped goes on with its end.
    child.kill("SIGKILL");
  }
}

function refused(why: string): EnterError {
  return new EnterError(
    `Nothing can be run in the task's container: its system call filters cannot be read: ${why}. An agent that has filters itself (SystemCallFilter= in its unit, or a container around it) cannot read them, and none can while another program traces the container's first process.`,
  );
}
