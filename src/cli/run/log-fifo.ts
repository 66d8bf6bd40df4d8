import { closeSync, constants, openSync } from "node:fs";
import { errorText } from "../../host/error-text";

/** A FIFO for a task's output, and its reading. */
export interface LogFifo {
  readonly path: string;
  /** Says that the task has opened the FIFO, or never will: from now on its last writer's end is the end. */
  release(): void;
  /** Resolves when everything written was taken. */
  readonly done: Promise<void>;
}

/**
 * Makes a FIFO (0600) and passes on what is written to it.
 *
 * @param take takes each chunk; when it returns a promise, the next is read after it
 * @throws Error when mkfifo fails
 */
export function openLogFifo(path: string, take: (chunk: Uint8Array) => Promise<void>): LogFifo {
  const made = Bun.spawnSync(["mkfifo", "--mode=600", path], { env: { PATH: "/usr/bin:/bin" }, stderr: "pipe" });
  if (!made.success) throw new Error(`The FIFO ${path} could not be made: ${made.stderr.toString().trim()}`);
  // As long as this process is a writer itself, reading neither waits for the first one nor sees an end.
  let keepOpen: number | undefined = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return {
    path,
    release: () => {
      if (keepOpen !== undefined) closeSync(keepOpen);
      keepOpen = undefined;
    },
    done: read(path, take),
  };
}

async function read(path: string, take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  try {
    for await (const chunk of Bun.file(path).stream()) await take(chunk);
  } catch (error) {
    throw new Error(`The task's output could not be read: ${errorText(error)}`, { cause: error });
  }
}
