import { errnoCode } from "../../host/errno";
import { RecoverableError } from "../../host/recoverable-error";

/** Something that the store could not do; the message is a sentence for the operator or the job's author. */
export class StoreError extends RecoverableError {
  override readonly name = "StoreError";
}

/** An error as a sentence, where it says that the disk is full: it was a record or a directory that found no room. */
export function orDiskFull(error: unknown): unknown {
  if (!isDiskFull(error)) return error;
  return new StoreError(
    "The image store's disk is full (or has no inodes or quota left): see the plugin options image_store and gc.image_min_free.",
    { recoverable: true, cause: error },
  );
}

/** Whether an error says that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errnoCode(error) ?? "");
}
