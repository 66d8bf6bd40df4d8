/**
 * Code without a domain: it could serve any program. The driver's own terms that all layers share are the classes of errors. ConfigError
 * and ImageError are the fault of a job or of its image; a RecoverableError says whether a retry may succeed, on this client or another.
 * The message of each is one sentence for an operator or a job's author; how it is sent to Nomad is decided in driver/rpc.ts.
 *
 * The other files: timers with a deadline, promises that never reject, and limited concurrency (promises.ts), files and directories that
 * several processes create and remove (files.ts), a pace for work that others can cause without limit, buffers that are freed without
 * waiting for the garbage collector, the Logger interface, and the *entry points* with which this program starts itself (executable.ts,
 * main.ts).
 */

/** A config block that cannot be used; the message is one sentence for the user, free of secrets. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** The code of a failed system call, such as "ENOENT"; undefined for any other error. */
export function errnoCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Whether an error means that something does not exist: no such file, or a process that ended while it was read. */
export function isMissing(error: unknown): boolean {
  const code = errnoCode(error);
  return code === "ENOENT" || code === "ESRCH" || code === "ENOTDIR";
}

/** For the `catch` of something that may not exist: returns undefined then, throws any other error. */
export function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

/** What `work` returns; `otherwise` if something that it looks at does not exist (see isMissing()). */
export function ifThere<Result, Otherwise>(work: () => Result, otherwise: Otherwise): Result | Otherwise {
  try {
    return work();
  } catch (error) {
    if (isMissing(error)) return otherwise;
    throw error;
  }
}

/** Does something that the system may refuse; false if it does. @throws errors that are not of a system call */
export function permitted(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return false;
  }
}

/** Does something that the kernel may report as already done, or as not existing. @param code the expected error, such as "EEXIST" */
export function unless(code: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (errnoCode(error) !== code) throw error;
  }
}

/** The text of any thrown value, for a log field or an error message. */
export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** An error during a task's start. */
export abstract class RecoverableError extends Error {
  /** Whether a retry may succeed, on this client or another; Nomad then retries. */
  readonly recoverable: boolean;

  constructor(message: string, options: { readonly recoverable: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.recoverable = options.recoverable;
  }
}

/** An image that cannot be used; the message is a sentence for the job's author. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** An error of the store; the message is a sentence for the operator or the job's author. */
export class StoreError extends RecoverableError {
  override readonly name = "StoreError";
}

/** Turns an error into a sentence if it means a full disk: a record or directory could not be created. */
export function orDiskFull(error: unknown): unknown {
  if (!isDiskFull(error)) return error;
  return new StoreError(
    "The image store's disk is full (or has no inodes or quota left): see the plugin options image_store and gc.image_min_free.",
    { recoverable: true, cause: error },
  );
}

/** Whether an error means that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errnoCode(error) ?? "");
}

/** An archive that cannot be unpacked; the message is the last clause of the sentence "The layer cannot be unpacked: …". */
export class UnpackError extends Error {
  override readonly name = "UnpackError";
}

/** Quotes a name from an archive for an error: of limited length, and without terminal control characters. */
export function quoteName(name: string): string {
  const text = Buffer.from(name, "latin1").toString("utf8");
  return JSON.stringify(text.length <= 200 ? text : `${text.slice(0, 200)}…`);
}
