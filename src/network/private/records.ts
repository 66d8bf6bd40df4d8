import { constants, openSync } from "node:fs";
import { lstat, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { pollUntil } from "../../lib/deadline";
import { ignoreMissing } from "../../lib/errors";
import { inDirectory, isUnfinished, removeIfEmpty, writeAtomically } from "../../lib/files";
import { type FileLock, lockOpened } from "../../linux/flock";

/** The records of running containers' networks; gone after a reboot, like the containers. */
const DIRECTORY = "/run/nomad-driver-nspawn/network";
const SUFFIX = ".json";
/** The rules in force, for operators to read, and to know whether they have to be changed. */
const rulesFile = join(DIRECTORY, "rules.nft");

/** How long to wait for another driver on this host that holds the lock: it is held for some milliseconds. */
const LOCK_MS = 30_000;
const RETRY_MS = 5;

const linkAddresses = v.object({ host: v.string(), container: v.string() });
const port = v.object({
  label: v.string(),
  hostAddress: v.exactOptional(v.string()),
  hostPort: v.number(),
  containerPort: v.number(),
});
const schema = v.object({
  machine: v.string(),
  link: v.picklist(["veth", "zone", "bridge"]),
  bridge: v.exactOptional(v.string()),
  ports: v.pipe(v.array(port), v.readonly()),
  given: v.exactOptional(v.object({ ipv4: v.exactOptional(linkAddresses), ipv6: v.exactOptional(linkAddresses) })),
  requested: v.exactOptional(v.pipe(v.array(v.string()), v.readonly())),
  mac: v.exactOptional(v.string()),
  leased: v.exactOptional(v.string()),
  addresses: v.pipe(v.array(v.string()), v.readonly()),
  targets: v.pipe(v.array(v.string()), v.readonly()),
  since: v.number(),
});

/**
 * The private network of one container: what is needed to restore it after a reboot of the container, and to remove it.
 * Addresses are "ADDRESS/PREFIX": `requested` are those of the job in a zone, `given` are assigned by the driver, `leased` by a DHCP server to the driver for the container,
 * `addresses` are those the container has, and `targets` those of them to which its ports are forwarded.
 * `since` is when it was created, in milliseconds since the epoch.
 */
export type NetworkRecord = Readonly<v.InferOutput<typeof schema>>;

/** The records, for the holder of the lock. */
export interface Records {
  all(): Promise<NetworkRecord[]>;
  write(record: NetworkRecord): Promise<void>;
  remove(machine: string): Promise<void>;
  /** The rules in force, "" for none. */
  rules(): Promise<string>;
  writeRules(text: string): Promise<void>;
}

/** Thrown for a file that is not a record. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

/** The record of a machine; undefined if it has no private network. @throws RecordError if it cannot be read */
export async function readRecord(machine: string): Promise<NetworkRecord | undefined> {
  return parse(join(DIRECTORY, machine + SUFFIX));
}

/** Whether a machine has a record, readable or not. */
export async function hasRecord(machine: string): Promise<boolean> {
  return (await lstat(join(DIRECTORY, machine + SUFFIX)).catch(ignoreMissing)) !== undefined;
}

/**
 * Changes records under a lock that excludes other tasks of this driver and other drivers on this host.
 * The directory is removed with the last record.
 *
 * @throws Error if the lock cannot be taken
 */
export async function withRecords<Result>(work: (records: Records) => Promise<Result>): Promise<Result> {
  return enqueue(async () => {
    using _lock = await lockDirectory();
    try {
      await removeUnfinished();
      return await work(records);
    } finally {
      await removeIfEmpty(DIRECTORY);
      await removeIfEmpty(dirname(DIRECTORY));
    }
  });
}

let last: Promise<unknown> = Promise.resolve();

/** Callers within this process wait in a queue; only other processes are polled. */
function enqueue<Result>(work: () => Promise<Result>): Promise<Result> {
  const turn = last.then(work, work);
  last = turn.catch(() => {});
  return turn;
}

const records: Records = {
  all: async () => {
    const names = (await readdir(DIRECTORY)).filter((name) => name.endsWith(SUFFIX)).toSorted();
    // An unreadable record affects only its own container (see readRecord()).
    const found = await Promise.all(names.map((name) => parse(join(DIRECTORY, name)).catch(() => undefined)));
    return found.filter((record) => record !== undefined);
  },
  write: (record) => writeAtomically(join(DIRECTORY, record.machine + SUFFIX), JSON.stringify(record)),
  remove: (machine) => rm(join(DIRECTORY, machine + SUFFIX), { force: true }),
  rules: async () => (await readFile(rulesFile, "utf8").catch(ignoreMissing)) ?? "",
  writeRules: async (text) => (text === "" ? rm(rulesFile, { force: true }) : writeAtomically(rulesFile, text)),
};

async function lockDirectory(): Promise<FileLock> {
  const open = () => openSync(DIRECTORY, constants.O_RDONLY | constants.O_DIRECTORY);
  const take = async () => lockOpened(await inDirectory(DIRECTORY, open), DIRECTORY, "exclusive");
  const lock = await pollUntil(take, { firstMs: RETRY_MS, longestMs: RETRY_MS, timeoutMs: LOCK_MS });
  if (lock !== undefined) return lock;
  throw new Error(
    `Another process has held the lock of ${DIRECTORY} for more than ${LOCK_MS / 1000} s: see \`fuser ${DIRECTORY}\`.`,
  );
}

async function parse(path: string): Promise<NetworkRecord | undefined> {
  const text = await readFile(path, "utf8").catch(ignoreMissing);
  return text === undefined ? undefined : parseRecord(path, text);
}

/** Parses a record. @throws RecordError for anything else */
export function parseRecord(path: string, text: string): NetworkRecord {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch (error) {
    throw new RecordError(`${path} is not a valid record for this driver version: ${text.slice(0, 200)}`, {
      cause: error,
    });
  }
}

/** Removes files of a driver that was killed while it wrote. */
async function removeUnfinished(): Promise<void> {
  for (const name of await readdir(DIRECTORY)) {
    if (isUnfinished(name)) await rm(join(DIRECTORY, name), { force: true });
  }
}
