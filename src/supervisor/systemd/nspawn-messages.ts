import { isRecord } from "../../host/is-record";
import { readJournal, sinceStart } from "./journal";
import type { UnitState } from "./unit-state";

/** LOG_ERR of syslog(3): the sentence that says why comes at this priority or above. */
const errorPriority = "3";

/**
 * The arguments that select what one systemd-nspawn process, and its children while they set the container up, may have
 * written to the journal as errors. {@link ownMessages} takes out of it what they did write.
 */
export function journalArguments(state: Pick<UnitState, "execMainPid" | "startedAt">): string[] {
  return [
    ...["--output=json", "--output-fields=MESSAGE,_PID,_SYSTEMD_UNIT"],
    ...[sinceStart(state.startedAt), `--priority=${errorPriority}`],
    ...[`_PID=${state.execMainPid}`, "+", "SYSLOG_IDENTIFIER=systemd-nspawn"],
  ];
}

/**
 * The messages of one container, a line each, from the journal as JSON (systemd.journal-fields(7)). The process itself is known
 * by its PID, that journald has from the kernel. Of a child that has ended already, journald may not know the unit:
 * it is taken for ours where it has no other unit. What cannot be read is skipped: every process of the host can write
 * to the journal, and an end must not wait for what one of them wrote. Never throws.
 */
export function ownMessages(unit: string, mainPid: number, json: string): string {
  return json
    .split("\n")
    .flatMap((line) => {
      const entry = parseEntry(line);
      if (entry === undefined) return [];
      const [pids, units] = [textsOf(entry["_PID"]), textsOf(entry["_SYSTEMD_UNIT"])];
      const own = pids.includes(String(mainPid)) || units.includes(unit) || entry["_SYSTEMD_UNIT"] === undefined;
      return own ? textsOf(entry["MESSAGE"]).map((text) => `${text}\n`) : [];
    })
    .join("");
}

function parseEntry(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return isRecord(entry) ? entry : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The values of a field (journalctl(1), "json"): a string; null for one that is too long; a list of bytes for one with characters
 * that cannot be printed; and a list of these where an entry has the field more than once.
 */
function textsOf(value: unknown): readonly string[] {
  const single = textOf(value);
  if (single !== undefined) return [single];
  return Array.isArray(value) ? value.flatMap((item) => textOf(item) ?? []) : [];
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value) || value.length === 0 || !value.every((byte) => typeof byte === "number")) return undefined;
  return Buffer.from(value).toString("utf8");
}

/**
 * What systemd-nspawn said of its failure, from the journal; empty where there is no journal. Never rejects.
 */
export async function nspawnErrors(unit: string, state: UnitState): Promise<string> {
  if (state.execMainPid === 0) return "";
  return ownMessages(unit, state.execMainPid, await readJournal(journalArguments(state)));
}
