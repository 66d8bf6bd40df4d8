import { O_CLOEXEC } from "./constants";
import { cString, libc } from "./ffi";

const IN_ACCESS = 0x1;
const IN_OPEN = 0x20;

/** An inotify descriptor that reports when one of the paths is opened or read; undefined if inotify is exhausted. */
export function watchReaders(paths: readonly string[]): number | undefined {
  const fd = libc().inotify_init1(O_CLOEXEC);
  if (fd < 0) return undefined;
  for (const path of paths) libc().inotify_add_watch(fd, cString(path), IN_ACCESS | IN_OPEN);
  return fd;
}
