import { statfs } from "node:fs/promises";
import { StoreError } from "../../lib/errors";

/** How often a disk to which another program writes is checked, in milliseconds. */
const LOOK_MS = 500;

/** A disk that must not become full. */
interface KeptSpace {
  readonly directory: string;
  /** Bytes that stay free; 0 for no limit (plugin option gc.image_min_free). */
  readonly keepFree: number;
  /** What is refused, for the message; "the download is refused" if absent. */
  readonly refusal?: string;
}

/** @throws StoreError, recoverable, if the disk has less free space than required */
export async function refuseFullDisk({
  directory,
  keepFree,
  refusal = "the download is refused",
}: KeptSpace): Promise<void> {
  if (keepFree === 0) return;
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= keepFree) return;
  throw new StoreError(
    `The disk of ${directory} has ${free} bytes free, and must keep at least ${keepFree} (plugin option gc.image_min_free): ${refusal}.`,
    { recoverable: true },
  );
}

/**
 * Runs work for which another process writes to a disk, and cancels it if the disk would become too full.
 *
 * @param work gets a signal that cancels it
 * @throws StoreError if it was cancelled for that; what the work throws
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
    // Data written since the last check counts as well.
    await refuseFullDisk(space);
    return result;
  } catch (error) {
    throw full.signal.aborted ? full.signal.reason : error;
  } finally {
    over = true;
    await watching;
  }
}
