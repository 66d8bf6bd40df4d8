/** Growing text, and waiting for a part of it without polling. */

import { timeoutScale } from "../../tools/timeout-scale";

/** Output of a running process. */
export interface TextWatch {
  /** The text so far. */
  text(): string;
  append(part: string): void;
  /**
   * Resolves with the whole text as soon as it contains `part`, looking at what comes after `from` (0: all of it).
   * Rejects with the text's end after `timeout` milliseconds.
   */
  waitFor(part: string | RegExp, timeout?: number, from?: number): Promise<string>;
}

/** An empty text to append to. */
export function watchText(): TextWatch {
  let text = "";
  let waiters: (() => void)[] = [];
  return {
    text: () => text,
    append: (part) => {
      text += part;
      for (const waiter of waiters) waiter();
    },
    waitFor: (part, timeout = 10_000 * timeoutScale, from = 0) =>
      new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(timer);
          waiters = waiters.filter((waiter) => waiter !== check);
        };
        const check = () => {
          const seen = text.slice(from);
          if (typeof part === "string" ? !seen.includes(part) : !part.test(seen)) return;
          settle();
          resolve(text);
        };
        const timer = setTimeout(() => {
          settle();
          reject(new Error(`${String(part)} did not appear within ${timeout} ms, only:\n${text.slice(-4000)}`));
        }, timeout);
        waiters.push(check);
        check();
      }),
  };
}

/** Appends the text of a stream; resolves at its end. */
export async function pour(stream: ReadableStream<Uint8Array>, into: TextWatch): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) into.append(decoder.decode(chunk, { stream: true }));
}
