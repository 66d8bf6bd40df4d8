/** Something that went wrong on the way to a task's start. */
export abstract class RecoverableError extends Error {
  /** Whether the same may succeed later, on this client or another: Nomad tries it again then. */
  readonly recoverable: boolean;

  constructor(message: string, options: { readonly recoverable: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.recoverable = options.recoverable;
  }
}
