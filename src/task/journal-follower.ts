import { readFile } from "node:fs/promises";
import { ContainerGoneError, openContainer } from "../exec/container";
import { readInside } from "../exec/read-inside";
import { FilterCache } from "../exec/seccomp";
import { openSession } from "../exec/session";
import { sessionOutput } from "../exec/session-output";
import { exitCode } from "../exec/session-plan";
import type { JournalTarget } from "../launch/logs";
import { settles, unlessAborted } from "../lib/deadline";
import { errorText } from "../lib/errors";
import { writeAtomically } from "../lib/files";
import { LineSplitter } from "../lib/lines";
import { RateLimit } from "../lib/rate-limit";
import { type FdWriter, writeFd } from "../linux/fd-stream";
import { hostId } from "../linux/proc";
import { openLog } from "../supervisor/log-file";
import { type Container, LaunchError } from "../supervisor/supervisor";
import { isCursor, journalCommand, LONGEST_ENTRY, ofBoot, parseEntry, sameEntry } from "../systemd/journal-entry";

/**
 * The journal of a booted system, in the task's log: its services write there, and not to the console.
 *
 * It is read by the container's own journalctl, which runs in the container as a command of `alloc exec` does. Files of the container
 * are thus parsed in its own namespaces and with its own rights; a program of the host that reads them would have to trust them.
 */

/** Pauses before another try while the system has no journal yet, or after journalctl has ended; milliseconds. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** How long the log of a task that has ended may take to get the last entries. */
const FINISH_MS = 1_000;
/** Pieces of output, at most 64 KiB each, that are read at once and in each second: the plugin is shared by all tasks. */
const RATE = { burst: 256, perSecond: 128 } as const;
/** The kernel writes so many bytes to a FIFO at once (PIPE_BUF): lines of the console are not mixed into them. */
const PIPE_BUF = 4096;
/** systemd-nspawn mounts a file with an ID of its own there. */
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const NOT_EXECUTABLE = 126;

type Round = "again" | "progress" | "absent";

/** Follows a container's journal until it exits, also over its reboots. It starts at once; errors are logged. */
export class JournalFollower {
  readonly #stop = new AbortController();
  readonly #filters = new FilterCache();
  readonly #rate = new RateLimit(RATE);
  readonly #done: Promise<void>;
  #cursor: string | undefined;
  #exited = false;

  constructor(
    private readonly container: Container,
    private readonly target: JournalTarget,
  ) {
    container.exit.then(() => {
      this.#exited = true;
    });
    this.#done = this.#run().catch((error: unknown) => this.#warn("cannot follow the journal of a task", error));
  }

  /** Resolves when the log has the last entries of a container that has exited, or after a second. */
  async finish(): Promise<void> {
    await settles(this.#done, FINISH_MS);
    await this.close();
  }

  /** Stops; entries that are not in the log yet are not written. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    this.#cursor = await readCursor(this.target.cursorFile);
    const over = Promise.race([this.container.exit, new Promise<void>((done) => onAbort(this.#stop.signal, done))]);
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      if (this.#exited || this.#stop.signal.aborted) return;
      const round = await this.#round();
      if (round === "absent") {
        this.#warn("the journal of a task is not in its log: its image has no journalctl");
        return;
      }
      if (round === "progress") pause = FIRST_PAUSE_MS;
      if (await settles(over, pause)) return;
    }
  }

  /** Reads the journal until journalctl ends. */
  async #round(): Promise<Round> {
    try {
      const owner = await this.#lookInside();
      const ready = this.#cursor === undefined ? await this.#command(["journalctl", "--sync"]) : 0;
      if (ready >= NOT_EXECUTABLE) return "absent";
      return ready === 0 ? await this.#follow(owner) : "again";
    } catch (error) {
      if (this.#stop.signal.aborted || error instanceof ContainerGoneError) return "again";
      if (error instanceof LaunchError && !error.recoverable) throw error;
      this.target.log.debug("journal of a task: trying again", { error: errorText(error), ...this.#who });
      return "again";
    }
  }

  /** Runs a command to its end and returns its exit code; its output is ignored. */
  async #command(command: readonly string[]): Promise<number> {
    await using session = await this.#session(command);
    return exitCode(await unlessAborted(session.ended, this.#stop.signal));
  }

  /**
   * systemd-shutdown leaves a process alone whose name begins with "@" (systemd's docs/ROOT_STORAGE_DAEMONS.md). It would wait for
   * another one, ten to ninety seconds: it does not notice the end of a process that is not its child (measured with 257).
   */
  async #session(command: readonly string[]) {
    const [program = ""] = command;
    const request = { command, name: `@${program}`, terminal: false, filters: this.#filters };
    const session = await openSession(this.container, { environment: {} }, request);
    session.stdin.close();
    return { ...session, [Symbol.asyncDispose]: () => session.close() };
  }

  async #follow(owner: number | undefined): Promise<Round> {
    await using session = await this.#session(journalCommand(this.#cursor));
    const log = writeFd(openLog(this.target.path, owner));
    try {
      let round: Round = "again";
      const output = sessionOutput(session);
      const lines = new LineSplitter(LONGEST_ENTRY);
      for (;;) {
        const since = performance.now();
        const { done, value } = await unlessAborted(output.next(), this.#stop.signal);
        if (done) return round;
        if (value.stream !== "stdout" || value.bytes === undefined) continue;
        if (await this.#write(log, lines, value.bytes)) round = "progress";
        const ms = this.#rate.pause(since);
        if (ms > 0) await unlessAborted(Bun.sleep(ms), this.#stop.signal);
      }
    } finally {
      log.close();
    }
  }

  /**
   * Forgets the cursor of an earlier boot: seen with 257, journalctl prints nothing if its journal does not have the boot of the
   * cursor, such as a journal in /run.
   *
   * @returns the host's user ID of the container's root, which may own the log
   */
  async #lookInside(): Promise<number | undefined> {
    using container = await openContainer(this.container);
    if (this.#cursor !== undefined) {
      const { texts } = await readInside(container, { files: [BOOT_ID], find: undefined, open: () => undefined });
      if (!ofBoot(this.#cursor, texts[0] ?? "")) this.#cursor = undefined;
    }
    return hostId(container.uidMap, 0);
  }

  /** Writes the entries that a piece of output completes, and then their cursor; true if there were any. */
  async #write(log: FdWriter, lines: LineSplitter, bytes: Uint8Array): Promise<boolean> {
    let cursor = this.#cursor;
    let text = "";
    for (const line of lines.push(bytes)) {
      const entry = line.text === undefined ? TOO_LONG : parseEntry(line.text);
      if (entry === undefined) continue;
      const known = cursor !== undefined && entry.cursor !== undefined && sameEntry(cursor, entry.cursor);
      if (!known) text += entry.text;
      cursor = entry.cursor ?? cursor;
    }
    for (const chunk of chunksOf(text, PIPE_BUF)) await unlessAborted(log.write(chunk), this.#stop.signal);
    if (cursor === undefined || cursor === this.#cursor) return text !== "";
    this.#cursor = cursor;
    await writeAtomically(this.target.cursorFile, cursor);
    return true;
  }

  get #who() {
    return { machine: this.container.ref.machine };
  }

  #warn(message: string, error?: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.target.log.warn(message, { ...this.#who, ...(error === undefined ? {} : { error: errorText(error) }) });
  }
}

const TOO_LONG = { cursor: undefined, text: "journal: an entry of more than 512 KiB is left out\n" } as const;

/** A text as pieces of at most `size` bytes, which end with a line if it is not longer itself. */
export function* chunksOf(text: string, size: number): Generator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length; ) {
    const full = from + size;
    const line = full >= bytes.length ? bytes.length : bytes.lastIndexOf("\n", full - 1) + 1;
    const to = line > from ? line : full;
    yield bytes.subarray(from, to);
    from = to;
  }
}

async function readCursor(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  return isCursor(text) ? text : undefined;
}

function onAbort(signal: AbortSignal, call: () => void): void {
  if (signal.aborted) call();
  else signal.addEventListener("abort", call, { once: true });
}
