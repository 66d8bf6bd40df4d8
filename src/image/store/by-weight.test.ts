import { expect, test } from "bun:test";
import { byWeight } from "./by-weight";

/** Which items run together: what has begun and not ended whenever one begins, with all that may begin having begun. */
async function together(weights: readonly number[], most: number): Promise<readonly string[]> {
  const states: string[] = [];
  const running = new Map<string, () => void>();
  const items = weights.map((weight, index) => ({ weight, name: "abcdefgh"[index] ?? "" }));
  const all = byWeight(items, { most, weightOf: ({ weight }) => weight }, ({ name }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    running.set(name, resolve);
    return promise;
  });
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    const [first] = running.keys();
    if (first === undefined) break;
    states.push([...running.keys()].join(""));
    running.get(first)?.();
    running.delete(first);
  }
  await all;
  return states;
}

test.each<[string, readonly number[], number, readonly string[]]>([
  ["nothing", [], 4, []],
  ["two heavy ones", [2, 2, 2], 4, ["ab", "bc", "c"]],
  ["four light ones", [1, 1, 1, 1, 1], 4, ["abcd", "bcde", "cde", "de", "e"]],
  ["light ones beside a heavy one", [2, 1, 1, 1], 4, ["abc", "bcd", "cd", "d"]],
  ["a light one overtakes a heavy one that does not fit", [2, 1, 2, 1], 4, ["abd", "bdc", "dc", "c"]],
  ["one that is too heavy runs alone", [9, 1], 4, ["a", "b"]],
])("%s", async (_name, weights, most, expected) => {
  expect(await together(weights, most)).toEqual([...expected]);
});

test("after a failure nothing new is started, and what runs is awaited", async () => {
  const seen: number[] = [];
  const work = byWeight([1, 2, 3], { most: 2, weightOf: () => 1 }, async (item) => {
    if (item === 1) throw new Error("first");
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(item);
  });
  await expect(work).rejects.toThrow("first");
  expect(seen).toEqual([2]);
});
