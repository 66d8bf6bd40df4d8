import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { errnoCode, isMissing } from "../host/errno";
import { errorText } from "../host/error-text";
import { O_PATH } from "../host/file-calls";
import { openWithoutSymlinks } from "../host/libc";
import { LaunchError } from "./supervisor";

/**
 * The place of a task's log, opened so that nothing but a log is ever opened. A program of the allocation that can write to
 * alloc/logs can put anything in a log's place, and what is opened here becomes the container's standard output: of a symlink to a
 * file of the host, that file.
 */

const ROOT = 0;
/** Device number of /dev/null: major 1, minor 3 (the kernel's admin-guide/devices.txt), as makedev(3) puts them together. */
const NULL_DEVICE = (1 << 8) | 3;

/** What of a file decides on whether it can be a log. */
export type LogFacts = Pick<
  Stats,
  "isFIFO" | "isCharacterDevice" | "isSymbolicLink" | "isDirectory" | "isFile" | "isSocket"
> & {
  readonly rdev: number;
  readonly uid: number;
  readonly nlink: number;
};

/**
 * Why a file is no log, as the end of a sentence about it; undefined for one that is: a FIFO with one name that belongs to one of
 * `owners`, or the null device.
 *
 * @param owners user IDs of the host; undefined: anyone's
 */
export function logProblem(facts: LogFacts, owners: readonly number[] | undefined): string | undefined {
  if (facts.isCharacterDevice() && facts.rdev === NULL_DEVICE) return undefined;
  if (!facts.isFIFO()) return `is ${kindOf(facts)}`;
  if (facts.nlink !== 1) return `is a FIFO that has ${facts.nlink} names`;
  if (owners === undefined || owners.includes(facts.uid)) return undefined;
  return `is a FIFO of user ${facts.uid}`;
}

function kindOf(facts: LogFacts): string {
  if (facts.isSymbolicLink()) return "a symlink";
  if (facts.isDirectory()) return "a directory";
  if (facts.isFile()) return "a regular file";
  return facts.isSocket() ? "a socket" : "a device";
}

/**
 * Opens a task's log to read and write: without a reader such an open neither waits nor fails, and no write ever ends in SIGPIPE.
 *
 * @param path absolute, without a symlink anywhere
 * @param owner a user ID of the host that the log was given to (see giveLogs()); absent: root's alone is taken
 * @returns a descriptor that no child inherits; the caller closes it
 * @throws LaunchError when there is anything but a FIFO of root's or `owner`'s, or the null device
 */
export function openLog(path: string, owner: number = ROOT): number {
  return withLog(path, [ROOT, owner], (place) => openSync(place, constants.O_RDWR | constants.O_APPEND));
}

/**
 * Does something with a task's log by a path of /proc that leads to what was checked, whatever becomes of its name.
 *
 * @param owners see logProblem()
 * @throws LaunchError as openLog() does
 */
export function withLog<Result>(
  path: string,
  owners: readonly number[] | undefined,
  use: (place: string, isFifo: boolean) => Result,
): Result {
  const fd = openPlace(path);
  try {
    const facts = fstatSync(fd);
    const problem = logProblem(facts, owners);
    if (problem !== undefined) throw refusal(path, `it ${problem}`);
    return use(place(fd), facts.isFIFO());
  } finally {
    closeSync(fd);
  }
}

const place = (fd: number): string => `/proc/self/fd/${fd}`;

function openPlace(path: string): number {
  if (!path.startsWith("/") || path.split("/").includes("..") || path.includes("\0")) {
    throw refusal(path, "its path is not absolute, or has .. in it");
  }
  return openWithoutSymlinks(path, O_PATH | constants.O_NOFOLLOW) ?? openByNames(path);
}

/**
 * Opens a path name by name, each without following a symlink. It finds out what is in the way of openWithoutSymlinks(), and opens the path
 * where a system call filter of the agent forbids openat2(2).
 *
 * @param path absolute
 * @throws LaunchError saying which name is missing, or what it is
 */
export function openByNames(path: string): number {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  let current = openSync("/", O_PATH | constants.O_DIRECTORY);
  for (const [index, name] of names.entries()) {
    const last = index === names.length - 1;
    let next: number;
    try {
      next = openSync(`${place(current)}/${name}`, O_PATH | constants.O_NOFOLLOW);
    } catch (error) {
      const what = isMissing(error) ? "does not exist" : `cannot be opened (${errorText(error)})`;
      throw refusal(path, `/${names.slice(0, index + 1).join("/")} ${what}`, error);
    } finally {
      closeSync(current);
    }
    current = next;
    if (last || fstatSync(current).isDirectory()) continue;
    const problem = `is ${kindOf(fstatSync(current))}, not a directory`;
    closeSync(current);
    throw refusal(path, `/${names.slice(0, index + 1).join("/")} ${problem}`);
  }
  return current;
}

function refusal(path: string, problem: string, cause?: unknown): LaunchError {
  const recoverable = ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE"].includes(errnoCode(cause) ?? "");
  return new LaunchError(
    `The task's log ${path} cannot be opened, because ${problem}: only the FIFO that Nomad makes for root is opened, without following symlinks. A task of the allocation may have replaced it.`,
    { recoverable, cause },
  );
}
