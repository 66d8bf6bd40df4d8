import { closeSync, constants, openSync } from "node:fs";
import { O_PATH } from "./constants";

/** What happens on the way down a path. */
interface NameWalk {
  /** Checks a component that was opened, without following a symlink. @throws to stop */
  readonly at: (fd: number, index: number) => void;
  /** The error to throw if a component cannot be opened. */
  readonly failed: (error: unknown, index: number) => unknown;
}

/**
 * Opens the components of a path one by one, each from the descriptor of the one before: no symlink is followed, and replacing a
 * component that was checked has no effect.
 *
 * @param directory where to begin, absolute
 * @param names of the components below it
 * @returns the last one, opened with O_PATH; the caller closes it
 * @throws Error if `directory` cannot be opened, and what `walk` decides
 */
export function openByName(directory: string, names: readonly string[], walk: NameWalk): number {
  let current = openSync(directory, O_PATH | constants.O_DIRECTORY);
  try {
    for (const [index, name] of names.entries()) {
      const next = openNext(current, name, (error) => walk.failed(error, index));
      closeSync(current);
      current = next;
      walk.at(current, index);
    }
  } catch (error) {
    closeSync(current);
    throw error;
  }
  return current;
}

function openNext(directory: number, name: string, failure: (error: unknown) => unknown): number {
  try {
    return openSync(`/proc/self/fd/${directory}/${name}`, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    throw failure(error);
  }
}
