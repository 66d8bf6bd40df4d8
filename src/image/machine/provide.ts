import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoCode, isDiskFull, StoreError } from "../../lib/errors";
import { isOneOf } from "../compression/decompress";
import { ExpandError, expand } from "../compression/expand";
import { SourceError } from "../source";
import { startSync, unpackLayer } from "../store/workers";
import { abortError, contentError } from "../transfer/errors";
import { readContent, trustedDigest } from "./fetch";
import { refuseFullDisk } from "./free-space";
import {
  assertNotInUse,
  type DownloadLock,
  imagesNamed,
  importImage,
  lockDownload,
  MADE,
  removeAbandoned,
  scratchPath,
} from "./pool";
import { type DownloadContext, type MachineImage, subjectOf } from "./request";
import { liftSingleTop } from "./single-top";
import { writeSparse } from "./sparse-file";
import { SignatureError } from "./verify";

/** Creates a verified image as {@link MADE} in `scratch`, a separate directory on the target file system. */
export type Fetch = (image: MachineImage, scratch: string, lock: DownloadLock) => Promise<void>;

/**
 * Ensures that a machine image exists. Of several simultaneous callers, in this process or others, one downloads it; with `force`,
 * those that waited use what arrived meanwhile.
 *
 * @param fetch downloads it
 * @returns whether it was downloaded
 * @throws SourceError, StoreError
 */
export async function provideMachineImage(
  image: MachineImage,
  context: DownloadContext,
  fetch: Fetch,
): Promise<boolean> {
  const { directory, locks, signal } = context;
  const asked = Date.now();
  if (!image.force && (await imagesNamed(directory, image.name)).length > 0) return false;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await using lock = await lockDownload(locks, image.name, signal);
    const there = await imagesNamed(directory, image.name);
    if (there.length > 0 && (!image.force || there.some(({ changed }) => changed >= asked))) return false;
    await assertNotInUse(image.name, there, context);
    await removeAbandoned(directory, locks);
    const scratch = scratchPath(directory, image.name);
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { mode: 0o700 });
    try {
      await fetch(image, scratch, lock);
      // An image under its final name counts as complete, also after a power failure.
      await writeToDisk(scratch);
      await context.onMade?.(image, scratch);
      await importImage(image, scratch, context);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
    return true;
  } catch (error) {
    throw describeError(error, image, context);
  }
}

/** Downloads an image without systemd. */
export function fetchNatively(context: DownloadContext): Fetch {
  return async (image, scratch, lock) => {
    const { directory, keepFree } = context;
    await refuseFullDisk({ directory, keepFree });
    const digest = image.verify === "no" ? undefined : await trustedDigest(image, scratch, context);
    const content = () => readContent(image.url, subjectOf(image), digest, context);
    const result = join(scratch, MADE);
    if (image.type === "raw") {
      const expanded = refusingQcow2(expand(content(), ["gzip", "zstd", "xz", "bzip2"]));
      await writeSparse(result, expanded, () => refuseFullDisk({ directory, keepFree }));
    } else {
      await mkdir(result, { mode: 0o755 });
      await unpackLayer({
        directory: result,
        list: join(scratch, "list"),
        algorithm: "sha256",
        kind: "tree",
        keepFree,
        lock: lock.file,
        content,
        signal: context.signal,
      });
      await liftSingleTop(result, join(scratch, "top"));
    }
  };
}

async function writeToDisk(directory: string): Promise<void> {
  if ((await startSync(directory).exited) !== 0)
    throw new StoreError("Cannot write a downloaded image to its disk.", { recoverable: true });
}

/** systemd-importd converts such images; otherwise the wrong format would be noticed only when the task starts. */
async function* refusingQcow2(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const chunk of content) {
    if (first && isOneOf(chunk, "qcow2")) {
      throw new ExpandError(
        "it is a qcow2 image, which only systemd-importd can convert: use a raw image, or a client with systemd-importd",
      );
    }
    first = false;
    yield chunk;
  }
}

/** An error of a download as a sentence about the image. */
function describeError(error: unknown, image: MachineImage, { directory, signal }: DownloadContext): unknown {
  const subject = subjectOf(image);
  if (error instanceof SourceError || error instanceof StoreError) return error;
  if (signal.aborted) return abortError(subject, signal);
  if (error instanceof ExpandError || error instanceof SignatureError)
    return contentError(subject, error.message, false);
  const code = errnoCode(error);
  if (code === undefined) return error;
  const full = isDiskFull(error);
  const why = full ? "the disk is full" : code;
  return new StoreError(`Cannot store ${JSON.stringify(image.name)} in ${directory}: ${why}.`, {
    recoverable: full,
    cause: error,
  });
}
