import { type FSWatcher, watch } from "node:fs";
import { isMissing } from "./errno";
import { searchDirectories } from "./programs";

const QUIET_MS = 250;

/** Stops watching. */
export type StopWatching = () => void;

/**
 * Calls `changed` when systemd-nspawn was installed, replaced or removed in one of the directories: once, a quarter of a
 * second after the last file event, because a package manager causes several. A directory that does not exist is
 * not watched; the watchers do not keep the process alive.
 */
export function watchNspawn(
  changed: () => void,
  directories: readonly string[] = searchDirectories(process.env["PATH"]),
): StopWatching {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const notice = (name: string | null): void => {
    // dpkg and rpm write to a temporary name and rename; both names begin with the program's.
    if (name !== null && !name.startsWith("systemd-nspawn")) return;
    clearTimeout(timer);
    timer = setTimeout(changed, QUIET_MS);
    timer.unref();
  };
  const watchers = directories.flatMap((directory) => start(directory, notice));
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

function start(directory: string, notice: (name: string | null) => void): FSWatcher[] {
  try {
    const watcher = watch(directory, { persistent: false }, (_, name) => notice(name));
    // The directory itself may be removed: then its content is gone too, and nothing is left to watch.
    watcher.on("error", () => {
      watcher.close();
      notice(null);
    });
    return [watcher];
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
