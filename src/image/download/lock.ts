import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inDirectory } from "../../host/in-directory";
import { removeIfEmpty } from "../../host/remove-if-empty";
import { type FileLock, fileLock, tryFileLock } from "../store/file-lock";

/** systemd takes no notice of files with such names in a directory of images. */
const SCRATCH = ".#nomad-driver-nspawn-";
const LOCK = ".lock";
/** What an image is called that systemd-importd makes for us: see importd-transfers.ts. Those beginning with ".#" it does not take. */
export const TRANSFER_PREFIX = "nomad-driver-nspawn-";
/** Such a name, or that of a file beside it. */
const TRANSFERRED = new RegExp(`^${TRANSFER_PREFIX}([0-9a-f]{24})-[0-9a-f]{12}(?:\\.|$)`);

/** Held by whoever downloads an image of a name. */
export interface DownloadLock extends AsyncDisposable {
  /** A process that works for the holder has it too, and so keeps others away for as long as it lives. */
  readonly file: FileLock;
}

/** The directory that an image is made in, beside its place. */
export function scratchPath(directory: string, name: string): string {
  return join(directory, `${SCRATCH}${idOf(name)}`);
}

/**
 * Waits until nobody else downloads an image of this name.
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
      // With the last of them the directories go.
      for (const directory of [locks, dirname(locks)]) await removeIfEmpty(directory);
    },
  };
}

/** Removes what downloads left whose processes are gone. To be called with the lock of the image that is about to be made. */
export async function removeAbandoned(directory: string, locks: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const id = name.startsWith(SCRATCH) ? name.slice(SCRATCH.length) : TRANSFERRED.exec(name)?.[1];
    if (id === undefined) continue;
    const path = join(locks, `${id}${LOCK}`);
    using lock = tryFileLock(path, "exclusive");
    // Its own, which it has locked, is made anew.
    if (lock !== undefined) await rm(path, { force: true });
    if (lock !== undefined) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** What an image's name is in those of files. */
export function idOf(name: string): string {
  return createHash("sha256").update(name).digest("hex").slice(0, 24);
}
