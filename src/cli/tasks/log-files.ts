import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { O_PATH } from "../../linux/constants";
import { openWithoutSymlinks } from "../../linux/rooted-path";
import type { TaskRecord } from "../../machine/task-record";

/** One of the two streams of a task. */
export type LogStream = "stdout" | "stderr";

/** Bytes that are read at once. */
const PIECE = 64 * 1024;

/**
 * The log of a stream as Nomad's collector writes it (nomad's client/logmon): files TASK.STREAM.0, .1 and so on in alloc/logs, of which
 * only the last ones are kept. A task may have write access to the directory, so no symlink is followed and only regular files are read.
 */
export class LogFiles {
  readonly #directory: string;
  readonly #prefix: string;
  #number: number | undefined;
  #fd: number | undefined;

  constructor({ directory, task }: Pick<TaskRecord, "directory" | "task">, stream: LogStream) {
    this.#directory = join(directory, "alloc/logs");
    this.#prefix = `${task}.${stream}.`;
  }

  /** Whether there is a log. */
  exists(): boolean {
    return this.#numbers().length > 0;
  }

  /** The next piece of the log; undefined at its end, after which more may come. */
  read(): Uint8Array | undefined {
    for (;;) {
      if (this.#fd !== undefined) {
        const buffer = new Uint8Array(PIECE);
        const length = readSync(this.#fd, buffer, 0, PIECE, null);
        if (length > 0) return buffer.subarray(0, length);
      }
      // The collector writes to the last file only: an earlier one is complete.
      const next = this.#numbers().find((number) => this.#number === undefined || number > this.#number);
      if (next === undefined) return undefined;
      this.close();
      this.#number = next;
      this.#fd = openRegular(join(this.#directory, `${this.#prefix}${next}`));
    }
  }

  /** Closes the file that is being read. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #numbers(): number[] {
    const fd = openWithoutSymlinks(this.#directory, constants.O_RDONLY | constants.O_DIRECTORY);
    if (fd === undefined) return [];
    try {
      return logNumbers(readdirSync(`/proc/self/fd/${fd}`), this.#prefix);
    } finally {
      closeSync(fd);
    }
  }
}

/** The numbers of a log's files, ascending. @param prefix TASK.STREAM. */
export function logNumbers(names: readonly string[], prefix: string): number[] {
  return names
    .flatMap((name) => {
      const rest = name.startsWith(prefix) ? name.slice(prefix.length) : "";
      return /^\d{1,9}$/.test(rest) ? [Number(rest)] : [];
    })
    .sort((one, other) => one - other);
}

/** Opened in two steps, because opening a device or FIFO may have side effects. */
function openRegular(path: string): number | undefined {
  const found = openWithoutSymlinks(path, O_PATH | constants.O_NOFOLLOW);
  if (found === undefined) return undefined;
  try {
    return fstatSync(found).isFile() ? openSync(`/proc/self/fd/${found}`, constants.O_RDONLY) : undefined;
  } finally {
    closeSync(found);
  }
}
