import { closeSync, readSync } from "node:fs";
import { unreadBytes, watchReaders } from "../../host/libc";

/**
 * Closes each FIFO once it is drained, and returns when all are closed: the kernel discards unread data when the last descriptor of
 * a FIFO is closed, and the log collector may just be restarting. Blocks this process without using CPU;
 * when the container is released, this process is killed.
 *
 * @param fifos descriptors
 */
export function closeWhenRead(fifos: readonly number[]): void {
  // By descriptor, because other files may have their names by now.
  const watcher = watchReaders(fifos.map((fd) => `/proc/self/fd/${fd}`));
  const events = Buffer.allocUnsafe(4096);
  for (let open = closeEmpty(fifos); open.length > 0 && watcher !== undefined; open = closeEmpty(open)) {
    readSync(watcher, events);
  }
}

/** Closes the empty FIFOs; returns those that are still open. */
function closeEmpty(fifos: readonly number[]): readonly number[] {
  const unread = fifos.filter((fd) => unreadBytes(fd) > 0);
  for (const fifo of fifos) if (!unread.includes(fifo)) closeSync(fifo);
  return unread;
}
