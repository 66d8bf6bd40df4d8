import type { UnitState } from "./unit-state";

const journalctl = "journalctl";
/** journald answers at once; a hanging one must not hold an exit back. */
const timeoutMs = 5000;
/** LOG_ERR of syslog(3): the sentence that says why comes at this priority or above. */
const errorPriority = "3";

/**
 * The arguments that select what one systemd-nspawn process wrote to the journal as errors. It is found by its PID, which
 * journald takes from the kernel: the unit of a process that has already ended is not always known to it.
 */
export function journalArguments(unit: string, state: Pick<UnitState, "execMainPid" | "startedAt">): string[] {
  const since = Math.max(0, Math.floor(state.startedAt / 1_000_000) - 1);
  return [
    "--quiet",
    "--no-pager",
    "--boot",
    "--output=cat",
    `--since=@${since}`,
    `--priority=${errorPriority}`,
    `_PID=${state.execMainPid}`,
    // "or": what its children wrote while they set the container up.
    "+",
    "SYSLOG_IDENTIFIER=systemd-nspawn",
    `_SYSTEMD_UNIT=${unit}`,
  ];
}

/**
 * What systemd-nspawn said of its failure, from the journal; empty where there is no journal.
 */
export async function nspawnErrors(unit: string, state: UnitState): Promise<string> {
  if (state.execMainPid === 0) return "";
  // Without it, what was written a moment ago may not be in the files yet.
  await runJournalctl(["--sync"]);
  return runJournalctl(journalArguments(unit, state));
}

async function runJournalctl(args: readonly string[]): Promise<string> {
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
    // No journalctl: the exit is reported without a sentence.
    return "";
  }
}
