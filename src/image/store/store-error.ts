import { errnoCode } from "../../host/errno";
import { RecoverableError } from "../../host/recoverable-error";

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
