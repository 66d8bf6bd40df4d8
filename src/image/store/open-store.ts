import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { errnoCode, isMissing } from "../../host/errno";
import { fileLock } from "./file-lock";
import { type StorePaths, storePaths } from "./paths";
import { StoreError } from "./store-error";
import { removeStale } from "./temporary";

/** What the file `format` says. */
export const FORMAT = "nomad-driver-nspawn image store 1\n";

/**
 * Makes a store where there is none, and removes what killed processes left in it.
 *
 * @throws StoreError where the directory cannot be used, or holds the store of a later version
 */
export async function openStore(directory: string): Promise<StorePaths> {
  const paths = storePaths(directory);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // Below lie files of others' with set-user-ID bits: nobody of the host is to reach them.
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
      `The image store ${directory} cannot be used: ${code}. It is the plugin option image_store, and has to be a directory that root can write to.`,
      { recoverable: true, cause: error },
    );
  }
}

async function checkFormat(path: string): Promise<void> {
  const found = await readFile(path, "utf8").catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  // An empty one is of a host that lost its power in that moment.
  if (found === FORMAT) return;
  if (found !== undefined && found !== "") {
    throw new StoreError(
      `The image store beside ${path} has the form ${JSON.stringify(found.trim().slice(0, 100))}, which this version of the driver does not know: give it another directory by the plugin option image_store.`,
      { recoverable: false },
    );
  }
  await writeFile(path, FORMAT, { mode: 0o600 });
}
