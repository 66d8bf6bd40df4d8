import { closeSync, readSync } from "node:fs";
import { unreadBytes, watchReaders } from "../../host/libc";

/**
 * Closes each FIFO when nothing is left in it, and returns when all are closed: the kernel throws away what nobody has read
 * once nobody holds them open, and the log collector may just be restarting. Blocks this process without using CPU;
 * whoever releases the container ends it.
 *
 * @param fifos descriptors
 */
export function closeWhenRead(fifos: readonly number[]): void {
  // By their names something else may be found by now.
  const watcher = watchReaders(fifos.map((fd) => `/proc/self/fd/${fd}`));
  const events = Buffer.allocUnsafe(4096);
  for (let open = closeEmpty(fifos); open.length > 0 && watcher !== undefined; open = closeEmpty(open)) {
    readSync(watcher, events);
  }
}

/** Those that are not empty, and still open. */
function closeEmpty(fifos: readonly number[]): readonly number[] {
  const unread = fifos.filter((fd) => unreadBytes(fd) > 0);
  for (const fifo of fifos) if (!unread.includes(fifo)) closeSync(fifo);
  return unread;
}
