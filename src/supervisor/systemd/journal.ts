const journalctl = "journalctl";
/** journald answers at once; a hanging one must not hold an exit back. */
const timeoutMs = 5000;
/** Entries that are asked for: the youngest. A start that failed says why in a few lines. */
const mostEntries = 1000;
/** Bytes that are kept of what journalctl prints: the last. Every process of the host may have written some of it. */
const mostBytes = 4 * 1024 * 1024;

/**
 * What journalctl prints of this boot for these arguments (journalctl(1)), 4 MiB at most; empty where there is no journal. What
 * was written a moment ago is waited for. Never rejects.
 */
export async function readJournal(args: readonly string[]): Promise<string> {
  await run(["--sync"]);
  return run(["--quiet", "--no-pager", "--boot", `--lines=${mostEntries}`, ...args]);
}

/** Seconds since the epoch at which a process's messages begin, with one to spare, as --since= takes them. */
export function sinceStart(startedAt: number): string {
  return `--since=@${Math.max(0, Math.floor(startedAt / 1_000_000) - 1)}`;
}

async function run(args: readonly string[]): Promise<string> {
  try {
    const child = Bun.spawn([journalctl, ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: timeoutMs,
    });
    const text = await lastBytes(child.stdout, mostBytes);
    await child.exited;
    return text;
  } catch {
    // No journalctl: the exit is reported without what it would have told.
    return "";
  }
}

/** The end of a stream as text, of `most` bytes at most; its first line may be a part of one. */
export async function lastBytes(stream: AsyncIterable<Uint8Array>, most: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream) {
    parts.push(part);
    size += part.length;
    for (let first = parts[0]; first !== undefined && size - first.length >= most; first = parts[0]) {
      size -= first.length;
      parts.shift();
    }
  }
  return Buffer.concat(parts).subarray(-most).toString("utf8");
}
