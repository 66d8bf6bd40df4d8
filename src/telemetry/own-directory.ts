import { realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * The path of a file that the driver may create, without symlinks in its directory. The directory must belong to this process's user,
 * and no other user may write to it: in another one, as /tmp, a user could put a link in the file's place.
 *
 * @throws Error with a sentence
 */
export function inOwnDirectory(path: string): string {
  const directory = realpathSync(dirname(path));
  const { uid, mode } = statSync(directory);
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0) {
    throw new Error(
      `The directory ${directory} must belong to root and be writable by root alone, as /run and /var/log/NAME are.`,
    );
  }
  return join(directory, basename(path));
}
