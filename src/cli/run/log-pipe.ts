import { closeSync, constants, openSync } from "node:fs";
import { errorText } from "../../lib/errors";

/** A FIFO for a task's output, and its reader. */
export interface LogFifo {
  readonly path: string;
  /** Called once the task has opened the FIFO, or will never do so: from then on the output ends when the last writer closes it. */
  release(): void;
  /** Resolves when `take` has received all output. */
  readonly done: Promise<void>;
}

/**
 * Creates a FIFO (0600) and forwards what is written to it.
 *
 * @param take receives each chunk; if it returns a promise, the next chunk is read after it resolves
 * @throws Error when mkfifo fails
 */
export function openLogFifo(path: string, take: (chunk: Uint8Array) => Promise<void>): LogFifo {
  const made = Bun.spawnSync(["mkfifo", "--mode=600", path], { env: { PATH: "/usr/bin:/bin" }, stderr: "pipe" });
  if (!made.success) throw new Error(`Cannot create the FIFO ${path}: ${made.stderr.toString().trim()}`);
  // As long as this process is a writer itself, the reader neither blocks until the first writer opens the FIFO nor reaches its end.
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
    throw new Error(`Cannot read the task's output: ${errorText(error)}`, { cause: error });
  }
}

/**
 * Forwards chunks to a stream, one after the other, so that a slow reader slows the writer down.
 * A reader that went away is reported once; from then on chunks are dropped, because the task must not block on it.
 */
export function forwardOutput(
  stream: NodeJS.WritableStream,
  readerGone: () => void,
): (chunk: Uint8Array) => Promise<void> {
  let gone = false;
  const dropFurther = (): void => {
    if (gone) return;
    gone = true;
    readerGone();
  };
  stream.on("error", dropFurther);
  return (chunk) =>
    new Promise((resolve) => {
      if (gone) return resolve();
      stream.write(chunk, (error) => {
        if (error) dropFurther();
        resolve();
      });
    });
}
