import { closeSync, fchmodSync, read, readSync, write } from "node:fs";
import { createPipe, unreadBytes, watchReaders } from "../../linux/pipe";

/**
 * Closes each FIFO once it is drained, and returns when all are closed: the kernel discards unread data when the last descriptor of
 * a FIFO is closed, and the log collector may just be restarting. Blocks this process without using CPU;
 * when the container is released, this process is killed.
 *
 * @param fifos descriptors
 */
export function closeAfterDrain(fifos: readonly number[]): void {
  // By descriptor, because other files may have their names by now.
  const watcher = watchReaders(fifos.map((fd) => `/proc/self/fd/${fd}`));
  const events = Buffer.allocUnsafe(4096);
  for (let open = closeEmpty(fifos); open.length > 0 && watcher !== undefined; open = closeEmpty(open)) {
    readSync(watcher, events);
  }
}

/** Closes the empty FIFOs; returns those that are still open. */
function closeEmpty(fifos: readonly number[]): readonly number[] {
  const unread = fifos.filter((fd) => unreadBytes(fd) > 0);
  for (const fifo of fifos) if (!unread.includes(fifo)) closeSync(fifo);
  return unread;
}

const CHUNK = 64 << 10;
const KEEP = 8 << 10;

/** Standard error on its way from the container to the log FIFO. */
export interface StderrPump {
  /** Write end of the pipe, for systemd-nspawn. */
  readonly childFd: number;
  /** Resolves when everything was read and written; what a broken FIFO does not accept is dropped. */
  readonly done: Promise<void>;
  /** The last 8 KiB so far. */
  stderrTail(): string;
  /**
   * Call it when the last writer is gone: resolves when everything written is in stderrTail(), even if the FIFO
   * has no reader and is full.
   */
  finish(): Promise<void>;
}

/**
 * Copies a pipe into the log FIFO and keeps its end, because systemd-nspawn reports only on standard error that a signal killed the
 * container. A full FIFO stops the reading, and then the container, as it would without this pipe. Both ends
 * are read and written with blocking calls on a thread of the runtime, so nothing polls, and O_NONBLOCK is never set on a file
 * that the container shares.
 */
export function pumpStderr(fifo: number): StderrPump {
  const { readEnd, writeEnd } = createPipe();
  // A payload that is not root may reopen /dev/stderr, which needs permission on the pipe itself.
  fchmodSync(writeEnd, 0o666);
  const buffer = Buffer.allocUnsafe(CHUNK);
  let tail = Buffer.alloc(0);
  let writing = false;
  let broken = false;
  let rest: Buffer | undefined;
  const end = Promise.withResolvers<void>();

  const remember = (chunk: Buffer): void => {
    tail = Buffer.concat([tail, chunk]).subarray(-KEEP);
  };
  const deliver = async (chunk: Buffer): Promise<void> => {
    try {
      if (!broken) await writeAll(fifo, chunk);
    } catch {
      // A broken log (its disk is full) must not stop the container: reading continues, for stderrTail().
      broken = true;
    }
  };
  const copy = async (): Promise<void> => {
    try {
      for (;;) {
        const count = await readSome(readEnd, buffer);
        if (count === 0) break;
        const chunk = buffer.subarray(0, count);
        remember(chunk);
        writing = true;
        await deliver(chunk);
        writing = false;
        if (rest !== undefined) await deliver(rest);
        rest = undefined;
      }
    } finally {
      end.resolve();
      closeSync(readEnd);
    }
  };

  return {
    childFd: writeEnd,
    done: copy(),
    stderrTail: () => tail.toString("utf8"),
    finish: async () => {
      closeSync(writeEnd);
      if (!writing) return end.promise;
      const waiting = Buffer.allocUnsafe(unreadBytes(readEnd));
      if (waiting.length === 0) return;
      rest = waiting.subarray(0, readSync(readEnd, waiting));
      remember(rest);
    },
  };
}

function readSome(fd: number, buffer: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, null, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

async function writeAll(fd: number, chunk: Buffer): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    written += await new Promise<number>((resolve, reject) => {
      write(fd, chunk, written, chunk.length - written, null, (error, count) =>
        error === null ? resolve(count) : reject(error),
      );
    });
  }
}
