import type { ChangesLimit } from "../launch/changes-limit";
import { readableSize } from "../values/units";

/**
 * Keeps a task's changes to its root within a limit. They are in a directory of the image store, which the file system does not limit by
 * itself, so it is measured again and again: the task may exceed the limit between two measurements, and is killed at the second one.
 */

/** The shortest pause between two measurements, in milliseconds. */
const PAUSE_MS = 5_000;
/** A measurement of many files takes long: the pauses are so much longer than the measurement before. */
const PAUSE_FACTOR = 20;

/** Measures a task's changes until they exceed their limit, or it is closed. */
export class StorageMonitor {
  #timer: NodeJS.Timeout | undefined;
  readonly #closed = new AbortController();

  /** @param onOver called with the bytes that the changes take, and again after the next measurement if it fails */
  constructor(
    private readonly changes: ChangesLimit,
    private readonly onOver: (bytes: number) => Promise<void>,
    private readonly pauseMs: number = PAUSE_MS,
  ) {
    this.#schedule(pauseMs);
  }

  close(): void {
    this.#closed.abort();
    clearTimeout(this.#timer);
  }

  #schedule(ms: number): void {
    if (this.#closed.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#measure(), ms);
    this.#timer.unref();
  }

  async #measure(): Promise<void> {
    const start = performance.now();
    const bytes = await this.changes.measure(this.#closed.signal).catch(() => undefined);
    if (this.#closed.signal.aborted) return;
    if (bytes !== undefined && bytes > this.changes.limit) {
      try {
        await this.onOver(bytes);
        return;
      } catch {
        // Measured and reported again below.
      }
    }
    this.#schedule(Math.max(this.pauseMs, (performance.now() - start) * PAUSE_FACTOR));
  }
}

/** The message of a task that was killed for the size of its changes. */
export function storageSentence(bytes: number, limit: number): string {
  return `The task was killed, because its changes to the root file system take ${readableSize(bytes)}: storage_limit allows ${readableSize(limit)}.`;
}
