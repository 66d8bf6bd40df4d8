import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, read } from "node:fs";
import { timeoutScale } from "../../tools/timeout-scale";

/** A log FIFO like that of Nomad's log collector. */
export interface LogFifo {
  readonly path: string;
  /** Opens the reader, as the log collector does before a task starts: what is written from then on is not lost. */
  open(): void;
  /** Reads until the pattern matches, or, without a pattern, until the last writer is gone. */
  readUntil(pattern?: RegExp): Promise<string>;
  /** Closes the reader, as when the log collector dies. */
  close(): void;
}

/** Makes a FIFO without a reader. */
export function createFifo(path: string): LogFifo {
  const made = spawnSync("mkfifo", ["-m", "600", path]);
  if (made.status !== 0) throw new Error(`mkfifo ${path}: ${made.stderr}`);
  let fd: number | undefined;
  let text = "";
  const open = () => {
    fd ??= openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return fd;
  };
  return {
    path,
    open: () => void open(),
    async readUntil(pattern) {
      const reader = open();
      const deadline = performance.now() + 20_000 * timeoutScale;
      for (;;) {
        if (pattern?.test(text)) break;
        const chunk = await readOnce(reader);
        if (chunk === "" && pattern === undefined) break;
        text += chunk ?? "";
        if (performance.now() > deadline)
          throw new Error(`Not seen within 20 s: ${pattern}; seen: ${text.slice(-500)}`);
        if (chunk === undefined || chunk === "") await Bun.sleep(5);
      }
      const seen = text;
      text = "";
      return seen;
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
      text = "";
    },
  };
}

/** Undefined while nothing can be read yet, empty without a writer. */
function readOnce(fd: number): Promise<string | undefined> {
  const buffer = Buffer.allocUnsafe(1 << 16);
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, null, (error, count) => {
      if (error === null) resolve(buffer.toString("utf8", 0, count));
      else if (error.code === "EAGAIN") resolve(undefined);
      else reject(error);
    });
  });
}
