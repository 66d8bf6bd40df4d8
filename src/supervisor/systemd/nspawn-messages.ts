import * as v from "valibot";
import type { UnitState } from "./unit-state";

const journalctl = "journalctl";
/** journald answers at once; a hanging one must not hold an exit back. */
const timeoutMs = 5000;
/** LOG_ERR of syslog(3): the sentence that says why comes at this priority or above. */
const errorPriority = "3";

/**
 * The arguments that select what one systemd-nspawn process, and its children while they set the container up, may have
 * written to the journal as errors. {@link ownMessages} takes out of it what they did write.
 */
export function journalArguments(state: Pick<UnitState, "execMainPid" | "startedAt">): string[] {
  const since = Math.max(0, Math.floor(state.startedAt / 1_000_000) - 1);
  return [
    ...["--quiet", "--no-pager", "--boot", "--output=json", "--output-fields=MESSAGE,_PID,_SYSTEMD_UNIT"],
    ...[`--since=@${since}`, `--priority=${errorPriority}`],
    ...[`_PID=${state.execMainPid}`, "+", "SYSLOG_IDENTIFIER=systemd-nspawn"],
  ];
}

/**
 * The messages of one container, a line each, from the journal as JSON (systemd.journal-fields(7)). The process itself is known
 * by its PID, that journald has from the kernel. Of a child that has ended already, journald may not know the unit:
 * it is taken for ours where it is nobody else's.
 */
export function ownMessages(unit: string, mainPid: number, json: string): string {
  return json
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => {
      const { MESSAGE, _PID, _SYSTEMD_UNIT = unit } = v.parse(entry, JSON.parse(line));
      return MESSAGE !== undefined && (_PID === String(mainPid) || _SYSTEMD_UNIT === unit) ? [`${MESSAGE}\n`] : [];
    })
    .join("");
}

/** A text with characters that cannot be printed is a list of bytes (journalctl(1), "json"). */
const text = v.union([
  v.string(),
  v.pipe(
    v.array(v.number()),
    v.transform((bytes) => Buffer.from(bytes).toString("utf8")),
  ),
]);

const entry = v.object({
  MESSAGE: v.optional(text),
  _PID: v.optional(v.string()),
  _SYSTEMD_UNIT: v.optional(v.string()),
});

/**
 * What systemd-nspawn said of its failure, from the journal; empty where there is no journal.
 */
export async function nspawnErrors(unit: string, state: UnitState): Promise<string> {
  if (state.execMainPid === 0) return "";
  // Without it, what was written a moment ago may not be in the files yet.
  await runJournalctl(["--sync"]);
  return ownMessages(unit, state.execMainPid, await runJournalctl(journalArguments(state)));
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
