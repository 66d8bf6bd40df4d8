import { errnoCode } from "../../host/errno";

/** Something that the store could not do; the message is a sentence for the operator or the job's author. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /** Whether the same may succeed later, on this client or another. */
  readonly recoverable: boolean;

  constructor(message: string, options: { readonly recoverable: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.recoverable = options.recoverable;
  }
}

/** Whether an error says that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errnoCode(error) ?? "");
}
