import { appendFileSync, statSync } from "node:fs";
import { isDiskFull, isMissing } from "../lib/errors";
import { isRecord, parseJson } from "../lib/objects";
import { machinePaths } from "./files";

/** An event of a task, as the command line shows it. */
export interface MachineEvent {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly message: string;
}

/** Largest size of a machine's events in bytes: they are in memory (/run). Later events reach only the agent. */
const MAX_BYTES = 128 * 1024;

/** Adds an event to those of a machine. Does nothing if it is not registered, or if its events take too much memory already. */
export function recordEvent(machine: string, { at, message }: MachineEvent): void {
  const { events } = machinePaths(machine);
  try {
    if ((statSync(events, { throwIfNoEntry: false })?.size ?? 0) >= MAX_BYTES) return;
    appendFileSync(events, `${JSON.stringify({ at, message })}\n`, { mode: 0o600 });
  } catch (error) {
    if (!isMissing(error) && !isDiskFull(error)) throw error;
  }
}

/** Parses a line of a machine's events; undefined for anything else. */
export function parseEvent(line: string): MachineEvent | undefined {
  const fields = parseJson(line);
  if (!isRecord(fields)) return undefined;
  const { at, message } = fields;
  return typeof at === "number" && typeof message === "string" ? { at, message } : undefined;
}
