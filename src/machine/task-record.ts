import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { ignoreMissing } from "../lib/errors";
import { writeAtomicallySync } from "../lib/files";
import { parseJson } from "../lib/objects";
import { machinePaths } from "./files";

/** Version of the records that this driver writes. A field that is added later is optional and needs no new version. */
const RECORD_VERSION = 1;

const schema = v.object({
  version: v.literal(RECORD_VERSION),
  task: v.string(),
  allocation: v.string(),
  job: v.string(),
  jobName: v.string(),
  group: v.string(),
  namespace: v.string(),
  node: v.string(),
  nodeId: v.string(),
  image: v.string(),
  mode: v.picklist(["boot", "pid1", "pid2"]),
  network: v.exactOptional(v.picklist(["host", "none", "joined", "lan", "private"])),
  /** The allocation's directory on the host. */
  directory: v.string(),
  stdoutPath: v.string(),
  stderrPath: v.string(),
  /** The options of the task, without secrets (config/redact.ts). */
  config: v.record(v.string(), v.unknown()),
});

/** What the command line shows of a task: Nomad's names for it, where its files are, and its config without secrets. */
export type TaskRecord = Readonly<Omit<v.InferOutput<typeof schema>, "version">>;

/** Writes the record of a registered machine, for the command line; nothing else depends on it. */
export function writeTaskRecord(machine: string, record: TaskRecord): void {
  writeAtomicallySync(machinePaths(machine).task, JSON.stringify({ version: RECORD_VERSION, ...record }));
}

/** The record of a machine; undefined if another version of the driver started its task, which wrote none or another one. */
export async function readTaskRecord(machine: string): Promise<TaskRecord | undefined> {
  const text = await readFile(machinePaths(machine).task, "utf8").catch(ignoreMissing);
  return text === undefined ? undefined : parseTaskRecord(text);
}

/** Parses a record; undefined for anything else. */
export function parseTaskRecord(text: string): TaskRecord | undefined {
  const { success, output } = v.safeParse(schema, parseJson(text));
  if (!success) return undefined;
  const { version: _, ...record } = output;
  return record;
}
