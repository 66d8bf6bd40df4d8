import { expect, test } from "bun:test";
import { AsyncQueue } from "./async-queue";

async function all<Item extends NonNullable<unknown>>(queue: AsyncQueue<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

test.each([
  ["all of them in order", undefined, [1, 2, 3]],
  ["the latest two", 2, [2, 3]],
  ["the latest one", 1, [3]],
])("delivers %s", async (_what, capacity, expected) => {
  const queue = new AsyncQueue<number>(capacity, [1]);
  queue.push(2);
  queue.push(3);
  queue.end();
  queue.push(4);
  expect(await all(queue)).toEqual(expected);
});

test("items are delivered as they arrive, also those that arrive while one is processed", async () => {
  const queue = new AsyncQueue<string>();
  const items = queue[Symbol.asyncIterator]();
  const first = items.next();
  await Bun.sleep(1);
  queue.push("a");
  expect((await first).value).toBe("a");
  queue.push("b");
  queue.push("c");
  expect([(await items.next()).value, (await items.next()).value]).toEqual(["b", "c"]);
  const last = items.next();
  queue.end();
  expect((await last).done).toBe(true);
});

test.each(["before", "while it waits"])("ends with a signal that aborts %s, without what is left", async (when) => {
  const queue = new AsyncQueue<string>(1, ["left"]);
  const stop = new AbortController();
  if (when === "before") stop.abort();
  queue.endWith(stop.signal);
  const items = all(queue);
  stop.abort();
  expect(await items).toEqual(when === "before" ? [] : ["left"]);
});

test("does not end with a signal that it no longer follows", async () => {
  const queue = new AsyncQueue<string>();
  const stop = new AbortController();
  queue.endWith(stop.signal)();
  stop.abort();
  queue.push("a");
  expect(queue.shift()).toBe("a");
});

test("waiting for a change", async () => {
  const queue = new AsyncQueue<string>();
  expect(await queue.changed(5)).toBe(false);
  // What arrives while nothing waits is not lost.
  queue.push("a");
  expect(await queue.changed()).toBe(true);
  expect(await queue.changed(5)).toBe(false);
  const waiting = queue.changed(5_000);
  queue.end();
  expect(await waiting).toBe(true);
});
