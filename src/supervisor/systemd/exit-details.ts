import { isRecord } from "../../lib/objects";
import { decodeExit, type ExitFacts, mayBeOomKill, needsMessages } from "../../nspawn/exit";
import type { Exit } from "../../nspawn/payload";
import { readJournal, sinceStart } from "../../systemd/journal";
import { processEnd, type UnitState } from "./unit-state";

/** LOG_ERR of syslog(3): the reason of a failure is logged at this priority or above. */
const ERROR_PRIORITY = "3";

/**
 * The arguments that select the journal's errors that one systemd-nspawn process, and its children while they set the container
 * up, may have written. {@link ownMessages} selects those that they did write.
 */
export function journalArguments(state: Pick<UnitState, "execMainPid" | "startedAt">): string[] {
  return [
    ...["--output=json", "--output-fields=MESSAGE,_PID,_SYSTEMD_UNIT"],
    ...[sinceStart(state.startedAt), `--priority=${ERROR_PRIORITY}`],
    ...[`_PID=${state.execMainPid}`, "+", "SYSLOG_IDENTIFIER=systemd-nspawn"],
  ];
}

/**
 * The messages of one container, a line each, from the journal as JSON (systemd.journal-fields(7)). The process itself is known
 * by its PID, which journald gets from the kernel. For a child that has already exited, journald may not know the unit:
 * its message counts if it has no other unit. Invalid entries are skipped: any process of the host can write
 * to the journal, and that must not affect an exit. Never throws.
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
 * The values of a field (journalctl(1), "json"): a string; null for one that is too long; a list of bytes for one with unprintable
 * characters; and a list of these if an entry has the field more than once.
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
 * systemd-nspawn's error messages from the journal; empty if there is no journal. Never rejects.
 */
async function nspawnErrors(unit: string, state: UnitState): Promise<string> {
  if (state.execMainPid === 0) return "";
  return ownMessages(unit, state.execMainPid, await readJournal(journalArguments(state)));
}

/** SD_MESSAGE_UNIT_OUT_OF_MEMORY (sd-messages.h): PID 1 detected that the kernel OOM-killed a process of a unit. */
const OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef";

/** The journalctl arguments that select PID 1's OOM messages about a unit since its process started. */
export function oomArguments(unit: string, state: Pick<UnitState, "startedAt">): string[] {
  return [sinceStart(state.startedAt), "--output=cat", "_PID=1", `MESSAGE_ID=${OUT_OF_MEMORY}`, `UNIT=${unit}`];
}

/**
 * Whether the kernel OOM-killed a process of a unit, from the journal: the unit's own Result shows it only with another
 * OOMPolicy=, its cgroup is gone, and if no plugin was running at that time, none watched the cgroup.
 */
async function ranOutOfMemory(unit: string, state: UnitState): Promise<boolean> {
  if (state.execMainPid === 0) return false;
  return (await readJournal(oomArguments(unit, state))) !== "";
}

/** What the plugin has observed of a container that ended. */
type Observed = Pick<ExitFacts, "machine" | "mode" | "payloadStatus" | "payloadSeen" | "killed">;

/** The exit of a container whose unit ended with this state; the journal is read only for what the state does not say. */
export async function exitOfUnit(unit: string, state: UnitState, observed: Observed): Promise<Exit> {
  const facts = {
    ...observed,
    nspawn: processEnd(state),
    oomKills: state.result === "oom-kill" ? 1 : 0,
    at: state.exitedAt === 0 ? Date.now() : Math.floor(state.exitedAt / 1000),
  };
  const ending = { ...facts, stderrTail: needsMessages(facts) ? await nspawnErrors(unit, state) : "" };
  const exit = decodeExit(ending);
  if (exit.oomKilled || observed.killed || !mayBeOomKill(exit, observed.mode)) return exit;
  return (await ranOutOfMemory(unit, state)) ? decodeExit({ ...ending, oomKills: 1 }) : exit;
}
