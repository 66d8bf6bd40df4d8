import { constants } from "node:fs";
import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC, O_PATH, PR_SET_PDEATHSIG, RESOLVE, SYS } from "../linux/constants";
import { Label, ProgramBuilder } from "../linux/syscall-program/builder";
import { SIGKILL } from "../values/signals";

const STDIN = 0;
const STDOUT = 1;
/** Descriptor of the container's root directory. */
const ROOT = 3;
/** Found paths get the descriptors from here on, one for each path. The descriptors as which they are opened are below. */
const FIRST_FOUND = 64;
const { O_NOCTTY, O_NONBLOCK, S_IFMT, S_IFREG } = constants;
/** Bytes of struct open_how (openat2(2)). */
const HOW_SIZE = 24;

/**
 * struct statx, and the offsets of mode, size and device number (linux/stat.h): unlike struct stat, it is the same on every CPU.
 */
const STAT_SIZE = 256;
const STAT = { mode: 28, size: 40, major: 128, minor: 132 } as const;
const STATX_BASIC_STATS = 0x7ff;
/** struct statfs; its first word is the file system's type (statfs(2)). */
const STATFS_SIZE = 120;
/** The record of each path: its descriptor, or 0, the two structures, and whether both were filled in. */
const RECORD_SIZE = 8 + STAT_SIZE + STATFS_SIZE + 8;
/** The size of a chunk of a file, written after a word with the number of valid bytes. */
const CHUNK = 16 * 1024;
const CHUNK_SIZE = 8 + CHUNK;
/** Bytes of the answer for one path: the path to open, padded with NULs. */
const ANSWER_SIZE = 64;

/** What exists at a path in a container. Nothing has been opened. */
export interface Found {
  /** Its O_PATH descriptor in the inspecting process. */
  readonly fd: number;
  /** The kind of file (S_IF*, inode(7)). */
  readonly kind: number;
  /** The numbers of a device, such as "5:2"; "0:0" for anything else. */
  readonly device: string;
  readonly size: number;
  /** Type of its file system (statfs(2)). */
  readonly fileSystem: number;
}

/** Whether it is a regular file of at most this many bytes. */
export function isReadable({ kind, size }: Found, most: number): boolean {
  return kind === S_IFREG && size <= most;
}

/**
 * A program that opens paths below the directory behind descriptor 3 with O_PATH, as a process with that root would resolve them, and
 * writes what it found, for {@link parseFound}. Then it reads {@link answerOf} from its input, which names the files to read, and
 * writes their contents, for {@link ContentsParser}. Each of its calls can block for as long as a file system of the container
 * blocks: hence a separate process, which can be killed.
 */
export function readProgram(paths: readonly string[]): Uint8Array {
  const program = new ProgramBuilder();
  const end = new Label();
  program.call(SYS.prctl, [PR_SET_PDEATHSIG, SIGKILL]);
  const records = program.space(RECORD_SIZE * paths.length);
  for (const [index, path] of paths.entries())
    openAndStat(program, path, FIRST_FOUND + index, records + index * RECORD_SIZE);
  program.call(SYS.write, [STDOUT, records, RECORD_SIZE * paths.length], { error: end });
  const answers = program.space(ANSWER_SIZE * paths.length);
  program.call(SYS.read, [STDIN, answers, ANSWER_SIZE * paths.length], { error: end, zero: end });
  for (const index of paths.keys()) writeFile(program, answers + index * ANSWER_SIZE, end);
  program.place(end);
  program.exit(0);
  return program.build();
}

function openAndStat(program: ProgramBuilder, path: string, fd: number, record: number): void {
  const next = new Label();
  const how = program.words([O_PATH | O_CLOEXEC, 0, RESOLVE.noMagicLinks | RESOLVE.inRoot]);
  const found = program.argumentAhead(1);
  program.call(SYS.openat2, [ROOT, program.text(path), how, HOW_SIZE], { error: next }, found);
  program.call(SYS.dup3, [0, fd, 0], { error: next }, record);
  const status = record + RECORD_SIZE - 8;
  const stat = [fd, program.text(""), AT_EMPTY_PATH, STATX_BASIC_STATS, record + 8];
  program.call(SYS.statx, stat, { error: next }, status);
  program.call(SYS.fstatfs, [fd, record + 8 + STAT_SIZE], { error: next }, status);
  program.place(next);
}

/** Writes a file in chunks, ending with an empty one. */
function writeFile(program: ProgramBuilder, path: number, end: Label): void {
  const chunk = program.space(CHUNK_SIZE);
  const nothing = program.space(CHUNK_SIZE);
  const done = new Label();
  const again = new Label();
  const opened = program.argumentAhead(1);
  program.call(SYS.openat, [AT_FDCWD, path, O_NONBLOCK | O_NOCTTY | O_CLOEXEC], { error: done }, opened);
  program.place(again);
  program.call(SYS.read, [0, chunk + 8, CHUNK], { error: done, zero: done }, chunk);
  program.call(SYS.write, [STDOUT, chunk, CHUNK_SIZE], { error: end, positive: again, zero: end });
  program.place(done);
  program.call(SYS.write, [STDOUT, nothing, CHUNK_SIZE], { error: end });
}

/** How many bytes {@link parseFound} needs for this many paths. */
export function foundSize(paths: number): number {
  return RECORD_SIZE * paths;
}

/** What was found at each path, in order; undefined if nothing. */
export function parseFound(bytes: Uint8Array): readonly (Found | undefined)[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / RECORD_SIZE) }, (_, index) => {
    const at = index * RECORD_SIZE;
    const fd = Number(view.getBigInt64(at, true));
    if (fd < FIRST_FOUND || view.getBigInt64(at + RECORD_SIZE - 8, true) !== 0n) return undefined;
    return {
      fd,
      kind: view.getUint16(at + 8 + STAT.mode, true) & S_IFMT,
      device: `${view.getUint32(at + 8 + STAT.major, true)}:${view.getUint32(at + 8 + STAT.minor, true)}`,
      size: Number(view.getBigInt64(at + 8 + STAT.size, true)),
      fileSystem: Number(view.getBigInt64(at + 8 + STAT_SIZE, true)),
    };
  });
}

/** The answer: which of the found files to read; undefined for those not to read. */
export function answerOf(wanted: readonly (Found | undefined)[]): Uint8Array {
  const answer = Buffer.alloc(ANSWER_SIZE * wanted.length);
  for (const [index, found] of wanted.entries()) {
    if (found !== undefined) answer.write(`/proc/self/fd/${found.fd}`, index * ANSWER_SIZE);
  }
  return answer;
}

/** Parses the contents as they arrive. */
export class ContentsParser {
  readonly #contents: Buffer[][] = [[]];
  #rest = Buffer.alloc(0);
  #size = 0;

  /** Adds data; returns how many bytes of files were received so far. */
  add(bytes: Uint8Array): number {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (; this.#rest.length >= CHUNK_SIZE; this.#rest = this.#rest.subarray(CHUNK_SIZE)) {
      const length = Number(this.#rest.readBigInt64LE(0));
      if (length <= 0) this.#contents.push([]);
      else this.#contents.at(-1)?.push(Buffer.from(this.#rest.subarray(8, 8 + Math.min(length, CHUNK))));
      this.#size += Math.max(length, 0);
    }
    return this.#size;
  }

  /** The files' texts, in order. */
  texts(): readonly string[] {
    return this.#contents.map((parts) => Buffer.concat(parts).toString("utf8"));
  }
}
