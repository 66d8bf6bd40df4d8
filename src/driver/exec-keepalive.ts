import { settles } from "../lib/deadline";

/**
 * Yields what `source` yields, and `beat` whenever `source` yields nothing for `idleMs` milliseconds.
 *
 * Leaving the loop also ends `source`.
 */
export async function* withKeepalive<T>(source: AsyncIterable<T>, beat: T, idleMs: number): AsyncGenerator<T> {
  const items = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = items.next();
      while (!(await settles(next, idleMs))) yield beat;
      const item = await next;
      if (item.done === true) return;
      yield item.value;
    }
  } finally {
    // Not awaited: a source that is suspended in an await only returns when that await settles.
    items.return?.().catch(() => {});
  }
}
