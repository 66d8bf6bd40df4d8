/** An error during a task's start. */
export abstract class RecoverableError extends Error {
  /** Whether a retry may succeed, on this client or another; Nomad then retries. */
  readonly recoverable: boolean;

  constructor(message: string, options: { readonly recoverable: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.recoverable = options.recoverable;
  }
}
