import { closeSync, writeSync } from "node:fs";
import { createPipe } from "../host/libc";
import type { ProcessIdentity } from "../host/process-info";
import { settles } from "../supervisor/settles";
import type { Container } from "./container";
import { type FdReader, readFd } from "./fd-streams";
import { answerOf, ContentsParser, type Found, foundSize, isReadable, lookProgram, parseFound } from "./look-program";
import { runProgram } from "./run-program";
import { EnterError } from "./session-plan";

/** How long a container's file systems have to show some files. */
const deadlineMs = 5_000;
/** What is read is a line a user, not more. */
const mostBytes = 4 * 1024 * 1024;

/** Containers, by their first processes, in which a look that was killed has not ended yet: their file systems hang. */
const hanging = new Set<string>();

/** What is wanted of a container. */
export interface Wanted<Opened> {
  /** Paths of files to be read. */
  readonly files: readonly string[];
  /** A path that is looked for, and not opened. */
  readonly find: string | undefined;
  /**
   * Is given what is there, and a path of the host by which it can be opened as long as the call lasts. It must be sure that its file
   * system does not hang.
   */
  readonly open: (found: Found | undefined, path: string) => Opened;
}

/**
 * Reads files of a container, and finds one more, with a process of its own: what a container mounts or puts in the place of its
 * files can make the one wait that opens them. Only regular files of 4 MiB at most are read; the text of others is "".
 *
 * @throws EnterError after 5 s, and at once while an earlier look still hangs in that container; what `open` throws
 */
export async function lookInside<Opened>(
  { root, leader }: Pick<Container, "root" | "leader">,
  wanted: Wanted<Opened>,
): Promise<{ readonly texts: readonly string[]; readonly opened: Opened }> {
  const key = keyOf(leader);
  if (hanging.has(key)) throw tooSlow(wanted.files);
  const paths = [...wanted.files, ...(wanted.find === undefined ? [] : [wanted.find])];
  const [answer, output] = [createPipe(), createPipe()];
  const given = [answer.readEnd, output.writeEnd] as const;
  const reader = readFd(output.readEnd);
  try {
    const child = spawn(paths, [...given, root]);
    const reading = look(reader, wanted, paths.length, {
      pathOf: ({ fd }) => `/proc/${child.pid}/fd/${fd}`,
      give: (bytes) => writeSync(answer.writeEnd, bytes),
    });
    reading.catch(() => {});
    try {
      if (await settles(reading, deadlineMs)) return await reading;
      hanging.add(key);
      child.exited.finally(() => hanging.delete(key));
      throw tooSlow(wanted.files);
    } finally {
      child.kill("SIGKILL");
    }
  } finally {
    closeSync(answer.writeEnd);
    await reader.close();
  }
}

function spawn(paths: readonly string[], [input, output, root]: readonly [number, number, number]) {
  try {
    return runProgram("nomad-nspawn-look", lookProgram(paths), [input, output, "ignore", root]);
  } finally {
    for (const fd of [input, output]) closeSync(fd);
  }
}

interface Talk {
  readonly pathOf: (found: Found) => string;
  readonly give: (bytes: Uint8Array) => void;
}

async function look<Opened>(
  reader: FdReader,
  { files, find, open }: Wanted<Opened>,
  count: number,
  { pathOf, give }: Talk,
): Promise<{ readonly texts: readonly string[]; readonly opened: Opened }> {
  const found = parseFound(await first(reader, foundSize(count)));
  const wanted = found.map((one, index) => {
    return one !== undefined && index < files.length && isReadable(one, mostBytes) ? one : undefined;
  });
  const last = find === undefined ? undefined : found.at(-1);
  const opened = open(last, last === undefined ? "" : pathOf(last));
  give(answerOf(wanted));
  const contents = new ContentsParser();
  for (let part = await reader.next(); part !== undefined; part = await reader.next()) {
    if (contents.add(part) <= files.length * mostBytes) continue;
    throw new EnterError(`The container's ${files.join(" or ")} grows while it is read, to more than 4 MiB.`);
  }
  const texts = contents.texts();
  return { texts: files.map((_, index) => texts[index] ?? ""), opened };
}

/** The first so many bytes; fewer where there are no more. */
async function first(reader: FdReader, size: number): Promise<Uint8Array> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < size) {
    const part = await reader.next();
    if (part === undefined) break;
    bytes = Buffer.concat([bytes, part]);
  }
  return bytes;
}

function keyOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid}:${startTime}`;
}

function tooSlow(files: readonly string[]): EnterError {
  return new EnterError(
    `Nothing can be run in the task's container: it has not shown its ${files.join(" and ")} within ${deadlineMs / 1000} s, so a file system in it hangs.`,
  );
}
