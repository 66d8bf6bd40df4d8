import type { Container } from "./container";
import { runProgram } from "./run-program";
import { filtersProgram, parseFilters } from "./seccomp-program";

/** The filters of one task's containers: they are the same for all of them, so the first one is asked once. */
export class FilterCache {
  #filters: Promise<readonly Uint8Array[]> | undefined;

  /** @throws Error as readFilters() does, and asks again the next time */
  of(container: Container): Promise<readonly Uint8Array[]> {
    this.#filters ??= readFilters(container).catch((error: unknown) => {
      this.#filters = undefined;
      throw error;
    });
    return this.#filters;
  }
}

/**
 * The system call filters of a container's first process, to be taken on by what is run in the container later.
 *
 * @throws Error where the kernel gives them to nobody, or somebody else traces the process
 */
export async function readFilters({ leader, rights }: Container): Promise<readonly Uint8Array[]> {
  if (rights.filters === 0) return [];
  const child = runProgram("nomad-nspawn-filters", filtersProgram(leader.pid, rights.filters), [
    "ignore",
    "pipe",
    "ignore",
  ]);
  const { stdout } = child;
  if (!(stdout instanceof ReadableStream)) throw new Error("no pipe was made");
  const output = await new Response(stdout).bytes();
  await child.exited;
  return parseFilters(output);
}
