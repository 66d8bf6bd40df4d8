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
export function absent(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
