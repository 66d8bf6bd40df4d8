import { errnoCode } from "../../host/errno";
import { RecoverableError } from "../../host/recoverable-error";

/** Something that the store could not do; the message is a sentence for the operator or the job's author. */
export class StoreError extends RecoverableError {
  override readonly name = "StoreError";
}

/** Whether an error says that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errnoCode(error) ?? "");
}
