import { statfs } from "node:fs/promises";
import { StoreError } from "../store/store-error";

/** How often a disk is looked at that another program writes to, in milliseconds. */
const LOOK_MS = 500;

/** A disk that shall not become full. */
export interface KeptSpace {
  readonly directory: string;
  /** Bytes that stay free; 0 for no limit (plugin option gc.image_min_free). */
  readonly keepFree: number;
}

/** @throws StoreError, which may pass, where the disk has less free space than it shall keep */
export async function refuseFullDisk({ directory, keepFree }: KeptSpace): Promise<void> {
  if (keepFree === 0) return;
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= keepFree) return;
  throw new StoreError(
    `The disk of ${directory} has ${free} bytes free, and keeps at least ${keepFree} (plugin option gc.image_min_free): nothing is downloaded to it.`,
    { recoverable: true },
  );
}

/**
 * Does work that another process writes to a disk for, and ends it when the disk would become fuller than it shall.
 *
 * @param work is given a signal that ends it
 * @throws StoreError where that happened; what the work throws
 */
export async function watchingSpace<Result>(
  space: KeptSpace,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  await refuseFullDisk(space);
  const full = new AbortController();
  let over = false;
  const watch = async (): Promise<void> => {
    while (!over && space.keepFree > 0) {
      await refuseFullDisk(space);
      await Bun.sleep(LOOK_MS);
    }
  };
  const watching = watch().catch((error: unknown) => full.abort(error));
  try {
    const result = await work(AbortSignal.any([signal, full.signal]));
    // What was written since it was looked at last counts as well.
    await refuseFullDisk(space);
    return result;
  } catch (error) {
    throw full.signal.aborted ? full.signal.reason : error;
  } finally {
    over = true;
    await watching;
  }
}
