import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../../host/errno";
import { type FileLock, fileLock, tryFileLock } from "./file-lock";

const LOCK = ".lock";
/** A layer is noted once; what is there after so many is not going to go. */
const mostTries = 20;

/** A directory that is removed with its owner, however that ends. */
export interface Temporary extends AsyncDisposable {
  readonly path: string;
  /** To be handed on to whoever else works in it: it is somebody's as long as one of them lives. */
  readonly lock: FileLock;
}

/**
 * Makes an empty directory in the store's `tmp`, when nobody has one of that name (any more).
 *
 * @throws what `signal` aborts with
 */
export async function makeTemporary(temporary: string, name: string, signal?: AbortSignal): Promise<Temporary> {
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

/** Removes a directory so that nobody ever sees half of it, whatever happens meanwhile. */
export async function removeAtOnce(path: string, temporary: string): Promise<void> {
  await using _grave = await takeAway(path, temporary);
}

/** Takes a directory from its place at once; its files, which may be a hundred thousand, go when the result is disposed of. */
export async function takeAway(path: string, temporary: string): Promise<AsyncDisposable> {
  const grave = await makeTemporary(temporary, crypto.randomUUID());
  try {
    await rename(path, join(grave.path, "removed"));
  } catch (error) {
    if (!isMissing(error)) {
      await grave[Symbol.asyncDispose]();
      throw error;
    }
  }
  return grave;
}

/** Removes what processes left that are gone. */
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
 * Whoever has a layer open, to note that it is on the disk, may still put a record into what is just being removed; rm() of Bun (1.4.5)
 * says nothing then, and leaves it.
 */
async function removeTree(path: string): Promise<void> {
  for (let tries = 0; tries < mostTries && (tries === 0 || existsSync(path)); tries += 1) {
    await rm(path, { recursive: true, force: true });
  }
}
