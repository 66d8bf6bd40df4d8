import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inDirectory } from "../../host/in-directory";
import { removeIfEmpty } from "../../host/remove-if-empty";
import { type FileLock, fileLock, tryFileLock } from "../store/file-lock";

/** systemd ignores files with such names in a directory of images. */
const SCRATCH = ".#nomad-driver-nspawn-";
const LOCK = ".lock";
/** The name of an image that systemd-importd creates for the driver: see importd-transfers.ts. It rejects names that begin with ".#". */
export const TRANSFER_PREFIX = "nomad-driver-nspawn-";
/** Matches such a name, or that of a file beside it. */
const TRANSFERRED = new RegExp(`^${TRANSFER_PREFIX}([0-9a-f]{24})-[0-9a-f]{12}(?:\\.|$)`);

/** Held while an image of a name is downloaded. */
export interface DownloadLock extends AsyncDisposable {
  /** A child process of the holder inherits it, and so keeps others out as long as it lives. */
  readonly file: FileLock;
}

/** The directory in which an image is created, beside its final place. */
export function scratchPath(directory: string, name: string): string {
  return join(directory, `${SCRATCH}${idOf(name)}`);
}

/**
 * Waits until no other process downloads an image of this name.
 *
 * @throws what `signal` aborts with
 */
export async function lockDownload(locks: string, name: string, signal: AbortSignal): Promise<DownloadLock> {
  const path = join(locks, `${idOf(name)}${LOCK}`);
  const file = await inDirectory(locks, () => fileLock(path, "exclusive", signal));
  return {
    file,
    [Symbol.asyncDispose]: async () => {
      await rm(path, { force: true });
      file[Symbol.dispose]();
      // The directories are removed with the last lock.
      for (const directory of [locks, dirname(locks)]) await removeIfEmpty(directory);
    },
  };
}

/** Removes what downloads left whose processes are gone. Call it with the lock of the image to be created. */
export async function removeAbandoned(directory: string, locks: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const id = name.startsWith(SCRATCH) ? name.slice(SCRATCH.length) : TRANSFERRED.exec(name)?.[1];
    if (id === undefined) continue;
    const path = join(locks, `${id}${LOCK}`);
    using lock = tryFileLock(path, "exclusive");
    // Its own directory, which it has locked, is created again.
    if (lock !== undefined) await rm(path, { force: true });
    if (lock !== undefined) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** An image's name as a part of file names. */
export function idOf(name: string): string {
  return createHash("sha256").update(name).digest("hex").slice(0, 24);
}
