import { closeSync } from "node:fs";
import { errnoCode } from "../host/errno";
import { setNonBlocking, unreadBytes } from "../host/libc";

/** Takes what comes out of a pipe or terminal, as fast as it is asked for: whoever writes waits meanwhile. */
export interface FdReader {
  /** The next bytes; undefined at the end. */
  next(): Promise<Uint8Array | undefined>;
  /** How many bytes wait to be read. */
  unread(): number;
  /** Gives up reading and closes the descriptor. */
  close(): Promise<void>;
}

/** Puts bytes into a pipe or terminal. */
export interface FdWriter {
  /** Resolves when the bytes are taken; those that nobody reads any more are dropped. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes the descriptor; what was written before is still read. */
  close(): void;
}

/** Reads a descriptor, which belongs to the reader from now on. */
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
        // The last process that had the terminal open is gone.
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

/** Writes to a descriptor, which belongs to the writer from now on. */
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
        // Nobody reads any more: not the writer's fault, and the reader's end tells how that came.
        broken = true;
      }
    },
    close: () => {
      if (closed) return;
      closed = true;
      // Bun's sink leaves a descriptor that it was given open.
      sink.end();
      closeSync(fd);
    },
  };
}
