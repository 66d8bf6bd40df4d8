import { lstat, readdir, rename, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { ignoreMissing } from "../../lib/errors";

/**
 * Some archives contain the system in a single directory at the top. As with `machinectl pull-tar` (systemd, import-common.c,
 * import_mangle_os_tree()), that directory becomes the image if it has a system and the top has none.
 *
 * @param tree the unpacked archive
 * @param beside a name in the same file system that does not exist
 * @throws the error of the system
 */
export async function liftSingleTop(tree: string, beside: string): Promise<void> {
  const [name, ...more] = await readdir(tree);
  // An archive may also have only the directory usr of a system.
  if (name === undefined || more.length > 0 || name === "usr") return;
  const top = join(tree, name);
  // A symlink does not count: its target may be anywhere.
  if (!(await isDirectory(top)) || !(await isDirectory(join(top, "usr")))) return;
  await rename(top, beside);
  await rmdir(tree);
  await rename(beside, tree);
}

async function isDirectory(path: string): Promise<boolean> {
  return (await lstat(path).catch(ignoreMissing))?.isDirectory() ?? false;
}
