import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { errnoCode, errorText, isMissing } from "../lib/errors";
import { O_PATH } from "../linux/constants";
import { openWithoutSymlinks } from "../linux/rooted-path";
import { openByName } from "../linux/walk-names";
import { LaunchError } from "./supervisor";

/**
 * Opens a task's log safely: it never opens anything but a log. A program of the allocation that can write to
 * alloc/logs can replace a log by anything, and what is opened here becomes the container's standard output: if a symlink to a
 * host file were followed, that file.
 */

const ROOT = 0;
/** Device number of /dev/null: major 1, minor 3 (the kernel's admin-guide/devices.txt), as combined by makedev(3). */
const NULL_DEVICE = (1 << 8) | 3;

/** The properties of a file that decide whether it can be a log. */
export type LogFacts = Pick<
  Stats,
  "isFIFO" | "isCharacterDevice" | "isSymbolicLink" | "isDirectory" | "isFile" | "isSocket"
> & {
  readonly rdev: number;
  readonly uid: number;
  readonly nlink: number;
};

/**
 * Why a file cannot be a log, as the end of a sentence about it; undefined for a valid log: a FIFO with one link that belongs to one
 * of `owners`, or the null device.
 *
 * @param owners user IDs of the host; undefined: any owner
 */
export function logProblem(facts: LogFacts, owners: readonly number[] | undefined): string | undefined {
  if (facts.isCharacterDevice() && facts.rdev === NULL_DEVICE) return undefined;
  if (!facts.isFIFO()) return `is ${kindOf(facts)}`;
  if (facts.nlink !== 1) return `is a FIFO with ${facts.nlink} links`;
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
 * Opens a task's log for reading and writing: such an open neither blocks nor fails without a reader, and writes never raise SIGPIPE.
 *
 * @param path absolute, without symlinks
 * @param owner the host's user ID that owns the log (see chownLogPipes()); absent: only root may own it
 * @returns a descriptor with O_CLOEXEC; the caller closes it
 * @throws LaunchError if it is anything but a FIFO of root or `owner`, or the null device
 */
export function openLog(path: string, owner: number = ROOT): number {
  return withLog(path, [ROOT, owner], (fdPath) => openSync(fdPath, constants.O_RDWR | constants.O_APPEND));
}

/**
 * Calls back with a path in /proc that refers to the checked log, even if its name is replaced afterwards.
 *
 * @param owners see logProblem()
 * @throws LaunchError as openLog() does
 */
export function withLog<Result>(
  path: string,
  owners: readonly number[] | undefined,
  use: (fdPath: string, isFifo: boolean) => Result,
): Result {
  const fd = openPath(path);
  try {
    const facts = fstatSync(fd);
    const problem = logProblem(facts, owners);
    if (problem !== undefined) throw logError(path, `it ${problem}`);
    return use(fdPath(fd), facts.isFIFO());
  } finally {
    closeSync(fd);
  }
}

const fdPath = (fd: number): string => `/proc/self/fd/${fd}`;

function openPath(path: string): number {
  if (!path.startsWith("/") || path.split("/").includes("..") || path.includes("\0")) {
    throw logError(path, 'its path is not absolute, or contains ".."');
  }
  return openWithoutSymlinks(path, O_PATH | constants.O_NOFOLLOW) ?? openByNames(path);
}

/**
 * Opens a path component by component, without following symlinks. It finds the reason why openWithoutSymlinks() failed, and opens the
 * path if a seccomp filter of the agent forbids openat2(2).
 *
 * @param path absolute
 * @throws LaunchError with the component that is missing, or its type
 */
export function openByNames(path: string): number {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  const upTo = (index: number) => `/${names.slice(0, index + 1).join("/")}`;
  return openByName("/", names, {
    at: (fd, index) => {
      const facts = fstatSync(fd);
      if (index === names.length - 1 || facts.isDirectory()) return;
      throw logError(path, `${upTo(index)} is ${kindOf(facts)}, not a directory`);
    },
    failed: (error, index) => {
      const what = isMissing(error) ? "does not exist" : `cannot be opened (${errorText(error)})`;
      return logError(path, `${upTo(index)} ${what}`, error);
    },
  });
}

function logError(path: string, problem: string, cause?: unknown): LaunchError {
  const recoverable = ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE"].includes(errnoCode(cause) ?? "");
  return new LaunchError(
    `Cannot open the task's log ${path}: ${problem}. The driver opens only the FIFO that Nomad creates as root, and follows no symlinks. A task of the allocation may have replaced it.`,
    { recoverable, cause },
  );
}
