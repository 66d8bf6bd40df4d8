import { settles } from "../supervisor/settles";

/**
 * Passes on what `source` yields, and `beat` whenever it yields nothing for `idleMs` milliseconds.
 *
 * Leaving the loop over it ends `source` too.
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
    // Not waited for: a source that is in the middle of waiting ends when what it waits for does.
    items.return?.().catch(() => {});
  }
}
