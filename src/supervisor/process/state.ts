import { existsSync, openSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { pollUntil } from "../../lib/deadline";
import { errnoCode, errorText, ignoreMissing } from "../../lib/errors";
import { readIfThere, writeAtomicallySync } from "../../lib/files";
import { lockOpened } from "../../linux/flock";
import type { ProcessIdentity } from "../../linux/proc";
import type { Exit } from "../../nspawn/payload";
import type { LaunchSpec } from "../supervisor";
import { asRecord, numberOf, objectOf, objectsOf, optional, stringMapOf, stringOf, stringsOf, wordOf } from "./record";

/** The plugin's launch request to a shim. */
export interface LaunchRequest {
  /** Distinguishes this start of the container from an earlier one, whose shim may still be starting. */
  readonly id: string;
  readonly bootId: string;
  readonly spec: LaunchSpec;
}

/** A shim's record of a running container, with which the container can be found and killed without the shim. */
export interface RunningState {
  readonly supervisor: ProcessIdentity;
  readonly main: ProcessIdentity;
  readonly leader?: ProcessIdentity;
  /** Lock files that systemd-nspawn holds (see nspawn/leftovers.ts). */
  readonly locks: readonly string[];
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** The files of one container, in its own directory. */
export interface StateFiles {
  readonly directory: string;
  readonly order: string;
  readonly running: string;
  readonly exit: string;
  /** Unix socket; open as long as the shim is running. */
  readonly socket: string;
}

/** Thrown for a file that exists and is invalid. */
export class DamagedStateError extends Error {
  override readonly name = "DamagedStateError";
}

const MODES = ["boot", "pid2", "pid1"] as const;

/** The files of a machine. */
export function stateFiles(stateDir: string, machine: string): StateFiles {
  return filesIn(join(stateDir, machine));
}

/** The files in a machine's directory. */
export function filesIn(directory: string): StateFiles {
  return {
    directory,
    order: join(directory, "order.json"),
    running: join(directory, "running.json"),
    exit: join(directory, "exit.json"),
    socket: join(directory, "socket"),
  };
}

/**
 * Writes a file atomically. It is not synced to the disk: every reference contains the boot ID, so the file is not used after a power
 * loss, and a sync would delay each start.
 */
export function writeState(path: string, content: LaunchRequest | RunningState | Exit): void {
  writeAtomicallySync(path, JSON.stringify(content));
}

/** Undefined if it does not exist. @throws DamagedStateError */
export function readRequest(files: StateFiles): LaunchRequest | undefined {
  return readState(files.order, (order) => {
    const spec = objectOf(order, "spec");
    const limits = objectOf(spec, "limits");
    return {
      id: stringOf(order, "id"),
      bootId: stringOf(order, "bootId"),
      spec: {
        machine: stringOf(spec, "machine"),
        mode: wordOf(spec, "mode", MODES),
        argv: stringsOf(spec, "argv"),
        ...optional(spec, "environmentFile", stringOf),
        stdoutPath: stringOf(spec, "stdoutPath"),
        stderrPath: stringOf(spec, "stderrPath"),
        ...optional(spec, "logOwner", numberOf),
        limits: {
          ...optional(limits, "memoryMax", numberOf),
          ...optional(limits, "memoryLow", numberOf),
          ...optional(limits, "cpuWeight", numberOf),
          ...optional(limits, "cpuQuota", numberOf),
          ...optional(limits, "pids", numberOf),
          ...optional(limits, "cpus", stringOf),
        },
        ...optional(spec, "oomScoreAdjust", numberOf),
        ...optional(spec, "networkNamespace", stringOf),
        ...optional(spec, "notifySocket", stringOf),
        ...optional(spec, "stopTimeout", numberOf),
        ...optional(spec, "slice", stringOf),
        devices: objectsOf(spec, "devices").map((device) => ({
          path: stringOf(device, "path"),
          permissions: stringOf(device, "permissions"),
        })),
        properties: stringMapOf(spec, "properties"),
      },
    };
  });
}

/** Undefined if it does not exist. @throws DamagedStateError */
export function readRunning(files: StateFiles): RunningState | undefined {
  return readState(files.running, (state) => ({
    supervisor: identityOf(state, "supervisor"),
    main: identityOf(state, "main"),
    ...optional(state, "leader", identityOf),
    locks: stringsOf(state, "locks"),
    startedAt: numberOf(state, "startedAt"),
  }));
}

/** Undefined if it does not exist. @throws DamagedStateError */
export function readExit(files: StateFiles): Exit | undefined {
  return readState(files.exit, (exit) => ({
    code: numberOf(exit, "code"),
    signal: numberOf(exit, "signal"),
    oomKilled: exit["oomKilled"] === true,
    ...optional(exit, "message", stringOf),
    at: numberOf(exit, "at"),
  }));
}

/** Removes a container's files; with the last container also the directory of all containers. */
export function removeState(files: StateFiles): void {
  rmSync(files.directory, { recursive: true, force: true });
  try {
    rmdirSync(dirname(files.directory));
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
  }
}

function readState<State>(path: string, parse: (record: Record<string, unknown>) => State): State | undefined {
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return parse(asRecord(JSON.parse(text)));
  } catch (error) {
    throw new DamagedStateError(`The state file ${path} is damaged: ${errorText(error)}.`, {
      cause: error,
    });
  }
}

function identityOf(record: Record<string, unknown>, key: string): ProcessIdentity {
  const identity = objectOf(record, key);
  return { pid: numberOf(identity, "pid"), startTime: numberOf(identity, "startTime") };
}

/** Between two looks at a starting shim. */
const PACE = { firstMs: 1, longestMs: 50 };

/**
 * The lock of a launch request: its holder controls the container. A shim holds it as long as it lives; a plugin takes it to
 * make sure that no shim is running or starting.
 */
interface RequestLock extends Disposable {}

/**
 * Takes the lock of a launch request; undefined if another process has it, or if the request does not exist (any more): a request
 * that was removed while it was being opened must not be carried out.
 */
function lockRequest(files: StateFiles): RequestLock | undefined {
  let fd: number;
  try {
    // Closed on exec: systemd-nspawn must not keep the lock.
    fd = openSync(files.order, "r");
  } catch (error) {
    return ignoreMissing(error);
  }
  return lockOpened(fd, files.order, "exclusive");
}

/**
 * Waits until a starting shim has reported its container, or is gone.
 *
 * @param reported whether it has
 * @returns the lock if it is gone
 */
export async function lockOrAwait(
  files: StateFiles,
  reported: () => boolean,
  timeoutMs: number,
): Promise<RequestLock | undefined> {
  const look = (): { readonly lock?: RequestLock | undefined } | undefined => {
    if (reported()) return {};
    const lock = lockRequest(files);
    // Without a launch request no shim can start.
    return lock !== undefined || !existsSync(files.order) ? { lock } : undefined;
  };
  return (await pollUntil(look, { ...PACE, timeoutMs }))?.lock;
}
