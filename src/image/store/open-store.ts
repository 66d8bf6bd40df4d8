import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { errnoCode, isMissing } from "../../host/errno";
import { fileLock } from "./file-lock";
import { type StorePaths, storePaths } from "./paths";
import { StoreError } from "./store-error";
import { removeStale } from "./temporary";

/** The content of the file `format`. */
export const FORMAT = "nomad-driver-nspawn image store 1\n";

/**
 * Creates a store if it does not exist, and removes what killed processes left in it.
 *
 * @throws StoreError if the directory cannot be used, or holds the store of a later version
 */
export async function openStore(directory: string): Promise<StorePaths> {
  const paths = storePaths(directory);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // It contains other users' files with set-user-ID bits: no user of the host may reach them.
    await chmod(directory, 0o700);
    for (const path of [paths.layers, paths.images, paths.references, paths.containers, paths.temporary]) {
      await mkdir(path, { recursive: true, mode: 0o700 });
    }
    {
      using _lock = await fileLock(paths.lock, "shared");
      await checkFormat(paths.format);
    }
    await removeStale(paths.temporary);
    return paths;
  } catch (error) {
    const code = errnoCode(error);
    if (error instanceof StoreError || code === undefined) throw error;
    throw new StoreError(
      `The image store ${directory} is unusable: ${code}. Set the plugin option image_store to a directory that root can write to.`,
      { recoverable: true, cause: error },
    );
  }
}

async function checkFormat(path: string): Promise<void> {
  const found = await readFile(path, "utf8").catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  // An empty file results from a power failure at that moment.
  if (found === FORMAT) return;
  if (found !== undefined && found !== "") {
    throw new StoreError(
      `The image store beside ${path} has the format ${JSON.stringify(found.trim().slice(0, 100))}, which this driver version does not support: set the plugin option image_store to another directory.`,
      { recoverable: false },
    );
  }
  await writeFile(path, FORMAT, { mode: 0o600 });
}
