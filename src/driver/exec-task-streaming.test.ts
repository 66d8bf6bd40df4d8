import { expect, test } from "bun:test";
import { withKeepalive } from "./exec-task-streaming";

async function* slow(gate: Promise<void>, closed: () => void): AsyncGenerator<string> {
  try {
    yield "first";
    await gate;
    yield "second";
  } finally {
    closed();
  }
}

test("beats fill the silence of a source, and none of its values is lost", async () => {
  const gate = Promise.withResolvers<void>();
  const seen: string[] = [];
  for await (const item of withKeepalive(
    slow(gate.promise, () => {}),
    "beat",
    5,
  )) {
    seen.push(item);
    if (seen.length === 4) gate.resolve();
  }
  expect(seen[0]).toBe("first");
  expect(seen.slice(1, 4)).toEqual(["beat", "beat", "beat"]);
  expect(seen.at(-1)).toBe("second");
});

test("errors of the source reach the consumer", async () => {
  async function* failing(): AsyncGenerator<string> {
    yield "one";
    throw new Error("broken");
  }
  const read = async () => {
    for await (const _ of withKeepalive(failing(), "beat", 1000));
  };
  await expect(read()).rejects.toThrow("broken");
});

test("leaving the loop ends the source", async () => {
  const closed = Promise.withResolvers<void>();
  for await (const _ of withKeepalive(slow(Promise.resolve(), closed.resolve), "beat", 1000)) break;
  await closed.promise;
});
