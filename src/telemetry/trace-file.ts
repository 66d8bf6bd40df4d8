import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoCode, errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { inOwnDirectory } from "./own-directory";

/** Where traces go, and how large the file may become in bytes. */
export interface TraceTarget {
  readonly path: string;
  readonly mostBytes: number;
}

/** Lines that wait for the disk; further ones are dropped. */
const MOST_WAITING = 1000;
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Appends lines to a file of mode 0600, one after the other. When the file would become too large, it is renamed to NAME.1 and a new one
 * begins. The directory is made if it is missing, for root alone. Nothing waits for it and no error leaves it: the first one is logged, and again one after a line was written.
 */
export class TraceFile {
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();
  #failing = false;

  /** @param target undefined while traces are off */
  constructor(
    private readonly target: () => TraceTarget | undefined,
    private readonly log: Pick<Logger, "warn">,
  ) {}

  /** Appends a line, which must not contain a line break. */
  write(line: string): void {
    const target = this.target();
    if (target === undefined || this.#waiting >= MOST_WAITING) return;
    this.#waiting += 1;
    this.#last = this.#last
      .then(() => append(target, `${line}\n`))
      .then(
        () => {
          this.#failing = false;
        },
        (error: unknown) => {
          if (!this.#failing) {
            this.log.warn("cannot write traces of starts", { path: target.path, error: errorText(error) });
          }
          this.#failing = true;
        },
      )
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    await this.#last;
  }
}

async function append({ path, mostBytes }: TraceTarget, text: string): Promise<void> {
  await mkdir(dirname(path), { mode: 0o700 }).catch((error: unknown) => {
    if (errnoCode(error) !== "EEXIST") throw error;
  });
  const own = inOwnDirectory(path);
  const size = await writeIfRoom(own, text, mostBytes);
  if (size === undefined) return;
  await rename(own, `${own}.1`);
  await writeIfRoom(own, text, Number.POSITIVE_INFINITY);
}

/** Appends, unless a file that is not empty would become too large; its size then. */
async function writeIfRoom(path: string, text: string, mostBytes: number): Promise<number | undefined> {
  await using file = await opened(path);
  const { size } = await file.stat();
  if (size > 0 && size + Buffer.byteLength(text) > mostBytes) return size;
  await file.appendFile(text);
  return undefined;
}

async function opened(path: string): Promise<FileHandle> {
  const file = await open(path, FLAGS, 0o600);
  const stats = await file.stat();
  if (stats.isFile()) return file;
  await file.close();
  throw new Error(`${path} is not a regular file.`);
}
