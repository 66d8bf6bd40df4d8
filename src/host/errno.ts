/** The code of a failed system call, such as "ENOENT"; undefined for any other error. */
export function errnoCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Whether something is simply not there: no such file, or a process that ended while it was looked at. */
export function isMissing(error: unknown): boolean {
  const code = errnoCode(error);
  return code === "ENOENT" || code === "ESRCH" || code === "ENOTDIR";
}

/** For the `catch` of something that may not be there: undefined then, any other error is thrown. */
export function absent(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
