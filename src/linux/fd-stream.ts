import { closeSync } from "node:fs";
import { errnoCode } from "../lib/errors";
import { setNonBlocking, unreadBytes } from "./pipe";

/** Reads from a pipe or terminal on demand; the writing process waits meanwhile. */
export interface FdReader {
  /** The next bytes; undefined at the end. */
  next(): Promise<Uint8Array | undefined>;
  /** How many bytes are ready to be read. */
  unread(): number;
  /** Stops reading and closes the descriptor. */
  close(): Promise<void>;
}

/** Writes to a pipe or terminal. */
export interface FdWriter {
  /** Resolves when the bytes are written; if the reader has gone, they are dropped. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes the descriptor; data written before can still be read. */
  close(): void;
}

/** Reads a descriptor and takes ownership of it. */
export function readFd(fd: number): FdReader {
  setNonBlocking(fd);
  const reader = Bun.file(fd).stream().getReader();
  let closed = false;
  return {
    next: async () => {
      try {
        const { done, value } = await reader.read();
        return done ? undefined : value;
      } catch (error) {
        // The last process that had the terminal open has gone.
        if (errnoCode(error) === "EIO") return undefined;
        throw error;
      }
    },
    unread: () => (closed ? 0 : unreadBytes(fd)),
    close: async () => {
      if (closed) return;
      closed = true;
      await reader.cancel().catch(() => {});
      closeSync(fd);
    },
  };
}

/** Writes to a descriptor and takes ownership of it. */
export function writeFd(fd: number): FdWriter {
  setNonBlocking(fd);
  const sink = Bun.file(fd).writer({ highWaterMark: 1 });
  let closed = false;
  let broken = false;
  return {
    write: async (bytes) => {
      if (closed || broken) return;
      try {
        await sink.write(bytes);
        await sink.flush();
      } catch {
        // The reader has gone: not the writer's error; the reading side reports the cause.
        broken = true;
      }
    },
    close: () => {
      if (closed) return;
      closed = true;
      // Bun's sink does not close a descriptor that it was given.
      sink.end();
      closeSync(fd);
    },
  };
}
