import { closeSync, readSync } from "node:fs";
import { unreadBytes, watchReaders } from "../../host/libc";

/** One log FIFO, held open. */
export interface LogFifo {
  readonly path: string;
  readonly fd: number;
}

/**
 * Returns when nothing is left in the FIFOs: the kernel throws away what nobody has read once nobody holds them open, and
 * the log collector may just be restarting. Blocks this process without using CPU; whoever releases the container ends it.
 */
export function waitUntilRead(fifos: readonly LogFifo[]): void {
  const unread = (): boolean => fifos.some(({ fd }) => unreadBytes(fd) > 0);
  if (!unread()) return;
  const watcher = watchReaders(fifos.map(({ path }) => path));
  if (watcher === undefined) return;
  const events = Buffer.allocUnsafe(4096);
  while (unread()) readSync(watcher, events);
  closeSync(watcher);
}
