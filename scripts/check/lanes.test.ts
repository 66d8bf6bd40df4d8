import { expect, test } from "bun:test";
import { inLanes, namedLines } from "./lanes";

test("as many pieces of work as lanes run at once, the first ones first, and all are done", async () => {
  const gates = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
  const begun: number[] = [];
  const all = inLanes(
    2,
    gates.map(({ promise }, number) => async () => {
      begun.push(number);
      await promise;
    }),
  );
  expect(begun).toEqual([0, 1]);
  gates[1]?.resolve();
  await Bun.sleep(0);
  expect(begun).toEqual([0, 1, 2]);
  for (const { resolve } of gates) resolve();
  await all;
  expect(begun).toEqual([0, 1, 2, 3]);
});

test("an error ends its lane only, and is reported at the end", async () => {
  const done: number[] = [];
  const fail = async () => {
    throw new Error("broken");
  };
  const all = inLanes(2, [fail, async () => void done.push(1), async () => void done.push(2)]);
  await expect(all).rejects.toThrow("broken");
  expect(done).toEqual([1, 2]);
});

test("lines have the name in front, also if they arrive in parts or without an end", () => {
  const lines: string[] = [];
  const { take, end } = namedLines("vm", (line) => lines.push(line));
  const bytes = new TextEncoder().encode("grün\n\n");
  take(bytes.subarray(0, 3), "stdout");
  take(new TextEncoder().encode("error\nun"), "stderr");
  take(bytes.subarray(3), "stdout");
  take(new TextEncoder().encode("finished"), "stderr");
  end();
  expect(lines).toEqual(["vm | error", "vm | grün", "vm | unfinished"]);
});
