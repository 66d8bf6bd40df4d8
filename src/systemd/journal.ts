import { Tail } from "../lib/buffers";

const JOURNALCTL = "journalctl";
/** journald usually responds immediately; if it hangs, it must not delay an exit. */
const TIMEOUT_MS = 5000;
/** Number of requested entries, the newest: a failed start logs its reason in a few lines. */
const MOST_ENTRIES = 1000;
/** How many bytes of the end of journalctl's output are kept: any process of the host may have written some of it. */
const MOST_BYTES = 4 * 1024 * 1024;

/**
 * The output of journalctl for this boot with these arguments (journalctl(1)), at most 4 MiB; empty if there is no journal. It
 * waits until journald has stored entries that were just written. Never rejects.
 */
export async function readJournal(args: readonly string[]): Promise<string> {
  await run(["--sync"]);
  return run(["--quiet", "--no-pager", "--boot", `--lines=${MOST_ENTRIES}`, ...args]);
}

/** The value of --since= for a process's messages: the seconds since the epoch of its start, minus one. */
export function sinceStart(startedAt: number): string {
  return `--since=@${Math.max(0, Math.floor(startedAt / 1_000_000) - 1)}`;
}

async function run(args: readonly string[]): Promise<string> {
  try {
    const child = Bun.spawn([JOURNALCTL, ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: TIMEOUT_MS,
    });
    const text = await lastBytes(child.stdout, MOST_BYTES);
    await child.exited;
    return text;
  } catch {
    // No journalctl: the exit is reported without its message.
    return "";
  }
}

/** The end of a stream as text, at most `most` bytes; its first line may be incomplete. */
export async function lastBytes(stream: AsyncIterable<Uint8Array>, most: number): Promise<string> {
  const tail = new Tail(most);
  for await (const part of stream) tail.append(part);
  return tail.bytes().toString("utf8");
}
