import { closeSync, openSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { freeBuffer, gcThrottle } from "../../lib/buffers";
import { StoreError } from "../../lib/errors";
import { entryPoint } from "../../lib/executable";
import { writeFd } from "../../linux/fd-stream";
import type { FileLock } from "../../linux/flock";
import { createPipe, enlargePipe } from "../../linux/pipe";
import type { ArchiveKind } from "../archive/extractor";
import { parseReport, type UnpackReport } from "../archive/report";
import { ExpandError, expand, expandIgnoringGarbage } from "../compression/expand";

/**
 * Syncs a directory's file system in another process: nothing else in this process would proceed
 * meanwhile.
 *
 * @returns that process; it exits with 0 when everything is synced
 */
export function startSync(directory: string) {
  return Bun.spawn([...entryPoint("sync-store"), directory], {
    cwd: "/",
    env: {},
    stdio: ["ignore", "ignore", "ignore"],
  });
}

/** The parameters of unpacking. */
interface UnpackRequest {
  /** The empty directory to unpack into. */
  readonly directory: string;
  /** The file for the list of unpacked entries. */
  readonly list: string;
  readonly algorithm: string;
  /** A layer if absent. */
  readonly kind?: ArchiveKind;
  /** Whether fs-verity protects the files, where the file system has it; not if absent. */
  readonly verity?: boolean;
  /** Bytes to keep free on the disk. */
  readonly keepFree: number;
  /** Uncompressed bytes that it may have; undefined for no limit. */
  readonly most?: number | undefined;
  /** Inherited by the unpacking process too. */
  readonly lock: FileLock;
  /** Starts to read the archive; called again if it has to be decompressed in another way. */
  readonly content: () => AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
}

/** MiB of input between two garbage collections: of promises and the like, because the pieces themselves are freed at once. */
const COLLECT_MIB = 32;
/** What the pipe to an unpacking process holds: a small layer is received while that process starts. */
const PIPE_BYTES = 1024 * 1024;
/** The size of a pipe's write: the runtime would buffer a copy of anything more. */
const PIECE = 64 * 1024;
/**
 * Disables the JIT: an unpacking process spends its time outside of JavaScript, and the JIT takes a tenth of its memory.
 * Measured: the same CPU time with and without.
 */
const UNPACK_ENVIRONMENT = { BUN_JSC_useDFGJIT: "0" };
/** How many characters of an unpacking process's stderr are kept. */
const LAST_WORDS = 2000;

type Unpacked = Extract<UnpackReport, { kind: "unpacked" }>;

/**
 * Unpacks an archive in a separate process while it arrives. That process is gone when this settles.
 *
 * @throws StoreError, ArchiveTooLargeError, and what reading the content throws
 */
export async function unpackLayer(request: UnpackRequest): Promise<Unpacked> {
  const { what, disk } = WORDS[request.kind ?? "layer"];
  try {
    // The unpacking process cannot run programs: the host's xz and bzip2 work before it.
    const first = await unpackOnce(request, expand(request.content(), ["xz", "bzip2"]));
    if (first.report?.kind !== "failed" || first.report.why !== "trailing garbage") return unpacked(first, what, disk);
    await rm(request.list);
    for (const name of await readdir(request.directory)) {
      await rm(join(request.directory, name), { recursive: true });
    }
    return unpacked(await unpackOnce(request, expandIgnoringGarbage(request.content())), what, disk);
  } catch (error) {
    if (!(error instanceof ExpandError)) throw error;
    throw new StoreError(`${what} cannot be unpacked: ${error.message}.`, { recoverable: false, cause: error });
  }
}

/** An archive that has more bytes than it may have. */
export class ArchiveTooLargeError extends Error {
  override readonly name = "ArchiveTooLargeError";

  /** @param bytes that were unpacked until then */
  constructor(readonly bytes: number) {
    super(`The archive has more than ${bytes} bytes.`);
  }
}

/** How an unpacking process ended. */
interface Ended {
  readonly report: UnpackReport | undefined;
  /** What it wrote. */
  readonly output: string;
  /** "code 1", or the signal that killed it. */
  readonly end: string;
}

async function unpackOnce(request: UnpackRequest, content: AsyncIterable<Uint8Array>): Promise<Ended> {
  const { directory, algorithm, keepFree, signal } = request;
  const argv = [
    ...entryPoint("unpack"),
    directory,
    algorithm,
    String(keepFree),
    request.kind ?? "layer",
    String(request.most ?? Infinity),
    request.verity === true ? "verity" : "",
  ];
  const { child, input } = start(argv, request);
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill);
  try {
    const said = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    let over = false;
    child.exited.then(() => {
      over = true;
    });
    const passed = gcThrottle(COLLECT_MIB);
    for await (const chunk of content) {
      passed(chunk.length);
      signal.throwIfAborted();
      // It has failed: the rest of the input is dropped.
      if (over) break;
      for (let at = 0; at < chunk.length; at += PIECE) await input.write(chunk.subarray(at, at + PIECE));
      freeBuffer(chunk);
    }
    input.close();
    const [stdout, stderr, code] = await said;
    signal.throwIfAborted();
    const report = parseReport(stdout.trim().split("\n").at(-1) ?? "");
    const end = child.signalCode === null ? `code ${code}` : String(child.signalCode);
    return {
      report: report?.kind === "unpacked" && code !== 0 ? undefined : report,
      output: `${stdout}\n${stderr}`,
      end,
    };
  } finally {
    signal.removeEventListener("abort", kill);
    input.close();
    kill();
    await child.exited;
  }
}

/** Starts the unpacking process; descriptors opened for it are closed here, whether or not it starts. */
function start(argv: readonly string[], request: Pick<UnpackRequest, "list" | "lock">) {
  const list = openSync(request.list, "wx", 0o600);
  try {
    const { readEnd, writeEnd } = createPipe();
    enlargePipe(writeEnd, PIPE_BYTES);
    const input = writeFd(writeEnd);
    try {
      const stdio: [number, "pipe", "pipe", number, number] = [readEnd, "pipe", "pipe", list, request.lock.fd];
      return { child: Bun.spawn([...argv], { cwd: "/", env: UNPACK_ENVIRONMENT, stdio }), input };
    } catch (error) {
      input.close();
      throw error;
    } finally {
      closeSync(readEnd);
    }
  } finally {
    closeSync(list);
  }
}

/** What is unpacked, and to which disk, for messages. */
const WORDS = {
  layer: { what: "A layer of the image", disk: "The image store's disk" },
  tree: { what: "The downloaded archive", disk: "The disk that the image is unpacked to" },
} as const satisfies Record<ArchiveKind, object>;

/** @throws StoreError if it failed */
function unpacked({ report, output, end }: Ended, what: string, disk: string): Unpacked {
  if (report?.kind === "unpacked") return report;
  if (report === undefined) {
    const words = output.trim().slice(-LAST_WORDS);
    const said = words === "" ? "" : `: ${words}`;
    throw new StoreError(`${what} could not be unpacked: its process ended with ${end}${said}.`, { recoverable: true });
  }
  switch (report.why) {
    case "archive":
    case "trailing garbage":
      throw new StoreError(`${what} cannot be unpacked: ${report.message}.`, { recoverable: false });
    case "disk full":
      throw new StoreError(`${disk} is full: ${report.message}.`, { recoverable: true });
    case "too large":
      throw new ArchiveTooLargeError(Number(report.message));
    case "system":
      throw new StoreError(`${what} could not be unpacked: ${report.message}.`, { recoverable: true });
  }
}
