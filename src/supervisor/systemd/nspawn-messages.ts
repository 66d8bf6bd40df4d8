import * as v from "valibot";
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
  return ownMessages(unit, state.execMainPid, await readJournal(journalArguments(state)));
}
