import { closeSync, writeSync } from "node:fs";
import { settles } from "../lib/deadline";
import { type FdReader, readFd } from "../linux/fd-stream";
import { createPipe } from "../linux/pipe";
import { runProgram } from "../linux/syscall-program/run";
import type { OpenContainer } from "./container";
import { answerOf, ContentsParser, type Found, foundSize, isReadable, parseFound, readProgram } from "./read-program";
import { EnterError } from "./session-plan";

/** The deadline for a container's file systems to answer. */
const DEADLINE_MS = 5_000;
/** The files read here have a line per user, not more. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Containers, by their first processes, in which a killed inspection has not ended yet: their file systems hang. */
const stuckContainers = new Set<string>();

interface Wanted<Opened> {
  readonly files: readonly string[];
  /** A path to find without opening it. */
  readonly find: string | undefined;
  /**
   * Called with what was found, and a path on the host by which it can be opened during the call. Only open it if its file
   * system cannot hang.
   */
  readonly open: (found: Found | undefined, path: string) => Opened;
}

/**
 * Reads files of a container, and finds one more path, in a separate process: a container can mount file systems, or replace
 * files, so that opening them blocks. Only regular files of up to 4 MiB are read; the text of others is "".
 *
 * @throws EnterError after 5 s, and at once while an earlier inspection of that container still hangs; what `open` throws
 */
export async function readInside<Opened>(
  { root, leader }: Pick<OpenContainer, "root" | "leader">,
  wanted: Wanted<Opened>,
): Promise<{ readonly texts: readonly string[]; readonly opened: Opened }> {
  const key = `${leader.pid}:${leader.startTime}`;
  if (stuckContainers.has(key)) throw timedOut(wanted.files);
  const paths = [...wanted.files, ...(wanted.find === undefined ? [] : [wanted.find])];
  const [answer, output] = [createPipe(), createPipe()];
  const childEnds = [answer.readEnd, output.writeEnd] as const;
  const reader = readFd(output.readEnd);
  try {
    const child = spawn(paths, [...childEnds, root]);
    const reading = inspect(reader, wanted, paths.length, {
      pathOf: ({ fd }) => `/proc/${child.pid}/fd/${fd}`,
      send: (bytes) => writeSync(answer.writeEnd, bytes),
    });
    reading.catch(() => {});
    try {
      if (await settles(reading, DEADLINE_MS)) return await reading;
      stuckContainers.add(key);
      child.exited.finally(() => stuckContainers.delete(key));
      throw timedOut(wanted.files);
    } finally {
      child.kill("SIGKILL");
    }
  } finally {
    closeSync(answer.writeEnd);
    await reader.close();
  }
}

function spawn(paths: readonly string[], [input, output, root]: readonly [number, number, number]) {
  using ends = new DisposableStack();
  for (const fd of [input, output]) ends.adopt(fd, closeSync);
  return runProgram("nomad-nspawn-look", readProgram(paths), [input, output, "ignore", root]);
}

async function inspect<Opened>(
  reader: FdReader,
  { files, find, open }: Wanted<Opened>,
  count: number,
  { pathOf, send }: { readonly pathOf: (found: Found) => string; readonly send: (bytes: Uint8Array) => void },
): Promise<{ readonly texts: readonly string[]; readonly opened: Opened }> {
  const found = parseFound(await readExactly(reader, foundSize(count)));
  const wanted = found.map((one, index) => {
    return one !== undefined && index < files.length && isReadable(one, MAX_BYTES) ? one : undefined;
  });
  const last = find === undefined ? undefined : found.at(-1);
  const opened = open(last, last === undefined ? "" : pathOf(last));
  send(answerOf(wanted));
  const contents = new ContentsParser();
  for (let part = await reader.next(); part !== undefined; part = await reader.next()) {
    if (contents.add(part) <= files.length * MAX_BYTES) continue;
    throw new EnterError(`The container's ${files.join(" or ")} grew beyond 4 MiB while it was read.`);
  }
  const texts = contents.texts();
  return { texts: files.map((_, index) => texts[index] ?? ""), opened };
}

/** The first `size` bytes; fewer if the stream ends. */
async function readExactly(reader: FdReader, size: number): Promise<Uint8Array> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < size) {
    const part = await reader.next();
    if (part === undefined) break;
    bytes = Buffer.concat([bytes, part]);
  }
  return bytes;
}

function timedOut(files: readonly string[]): EnterError {
  return new EnterError(
    `Cannot run a command in the task's container: reading its ${files.join(" and ")} timed out after ${DEADLINE_MS / 1000} s, so one of its file systems hangs.`,
  );
}
