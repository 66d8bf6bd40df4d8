const journalctl = "journalctl";
/** journald answers at once; a hanging one must not hold an exit back. */
const timeoutMs = 5000;

/**
 * What journalctl prints of this boot for these arguments (journalctl(1)); empty where there is no journal. What was written
 * a moment ago is waited for.
 */
export async function readJournal(args: readonly string[]): Promise<string> {
  await run(["--sync"]);
  return run(["--quiet", "--no-pager", "--boot", ...args]);
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
    const text = await new Response(child.stdout).text();
    await child.exited;
    return text;
  } catch {
    // No journalctl: the exit is reported without what it would have told.
    return "";
  }
}
