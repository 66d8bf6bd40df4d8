import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../../lib/errors";
import { type FileLock, fileLock, tryFileLock } from "../../linux/flock";

const LOCK = ".lock";
/** A layer is recorded once; if files reappear more often than that, the removal fails. */
const MAX_TRIES = 20;

/** A directory that is removed with its owner, however that ends. */
interface Temporary extends AsyncDisposable {
  readonly path: string;
  /** Pass it to other processes that work in the directory: it has an owner as long as one of them lives. */
  readonly lock: FileLock;
}

/**
 * Creates an empty directory in the store's `tmp`, once no other process owns one of that name.
 *
 * @throws what `signal` aborts with
 */
export async function createScratch(temporary: string, name: string, signal?: AbortSignal): Promise<Temporary> {
  const path = join(temporary, name);
  const lock = await fileLock(`${path}${LOCK}`, "exclusive", signal);
  const dispose = async () => {
    await removeTree(path);
    await rm(`${path}${LOCK}`, { force: true });
    lock[Symbol.dispose]();
  };
  try {
    await removeTree(path);
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    await dispose();
    throw error;
  }
  return { path, lock, [Symbol.asyncDispose]: dispose };
}

/** Removes a directory atomically: no process sees half of it. */
export async function removeNow(path: string, temporary: string): Promise<void> {
  await using _trash = await moveToTrash(path, temporary);
}

/** Moves a directory away at once; its files, which may be a hundred thousand, are deleted when the result is disposed of. */
export async function moveToTrash(path: string, temporary: string): Promise<AsyncDisposable> {
  const trash = await createScratch(temporary, crypto.randomUUID());
  try {
    await rename(path, join(trash.path, "removed"));
  } catch (error) {
    if (!isMissing(error)) {
      await trash[Symbol.asyncDispose]();
      throw error;
    }
  }
  return trash;
}

/** Removes what dead processes left. */
export async function removeStale(temporary: string): Promise<void> {
  const names = await readdir(temporary);
  const ids = new Set(names.map((name) => (name.endsWith(LOCK) ? name.slice(0, -LOCK.length) : name)));
  for (const id of ids) {
    using lock = tryFileLock(join(temporary, `${id}${LOCK}`), "exclusive");
    if (lock === undefined) continue;
    await removeTree(join(temporary, id));
    await rm(join(temporary, `${id}${LOCK}`), { force: true });
  }
}

/**
 * A process that has a layer open, to record that it is synced, may still write a record into a directory that is being removed; rm() of
 * Bun (1.4.5) reports no error then, and leaves it.
 */
async function removeTree(path: string): Promise<void> {
  for (let tries = 0; tries < MAX_TRIES && (tries === 0 || existsSync(path)); tries += 1) {
    await rm(path, { recursive: true, force: true });
  }
}
