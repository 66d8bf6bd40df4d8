import { closeSync, fchmodSync, read, readSync, write } from "node:fs";
import { createPipe, unreadBytes } from "../../host/libc";

const CHUNK = 64 << 10;
const KEEP = 8 << 10;

/** Standard error on its way from the container to the log FIFO. */
export interface StderrPump {
  /** Write end of the pipe, for systemd-nspawn. */
  readonly childFd: number;
  /** Resolves when everything was read and written; what a broken FIFO does not take is dropped. */
  readonly done: Promise<void>;
  /** The last 8 KiB so far. */
  lastWords(): string;
  /**
   * To be called when the last writer is gone: resolves when everything written is in lastWords(), also where the FIFO
   * has no reader and takes no more.
   */
  finish(): Promise<void>;
}

/**
 * Copies a pipe into the log FIFO. systemd-nspawn tells only on standard error that a signal ended the container, so it
 * is read on the way. A full FIFO stops the reading, and then the container, as it would be without us. Both ends
 * are read and written by blocking calls on a thread of the runtime, so nothing polls, and O_NONBLOCK is never set on what
 * the container shares.
 */
export function pumpStderr(fifo: number): StderrPump {
  const { readEnd, writeEnd } = createPipe();
  // A payload that is not root opens /dev/stderr again, and that asks the pipe's own permissions.
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
      // A log that takes no more (its disk is full) must not stop the container: reading goes on, for the last words.
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
    lastWords: () => tail.toString("utf8"),
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
