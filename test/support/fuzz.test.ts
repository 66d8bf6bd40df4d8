import { expect, test } from "bun:test";
import fc from "fast-check";
import { fuzz } from "./fuzz";

const inputs = fc.uint8Array({ maxLength: 64 });
class Known extends Error {}

test("a parser that keeps nothing passes, and may throw its own errors", () => {
  fuzz(
    inputs,
    (bytes) => {
      if (bytes.length > 60) throw new Known();
      return Buffer.alloc(256 * 1024, 1).toString("hex");
    },
    [Known],
    500,
  );
});

test("a parser that keeps a part of each input fails", () => {
  const kept: unknown[] = [];
  expect(() => fuzz(inputs, () => kept.push(new Uint8Array(8192).fill(1)))).toThrow();
  expect(kept.length).toBeGreaterThan(0);
});

/** Work for one of the inputs only, so that a failure is not shrunk. */
function once(work: () => unknown): () => unknown {
  let calls = 0;
  return () => {
    calls += 1;
    return calls === 10 ? work() : undefined;
  };
}

test("a parser that takes much memory for one input fails", () => {
  const large = () => Buffer.alloc(300 * 1024 * 1024, 1).length;
  expect(() => fuzz(inputs, once(large))).toThrow();
});

test("a parser that takes long for one input fails, and one that only waits for the processor does not", () => {
  const busy = () => {
    const begin = process.cpuUsage();
    for (let used = 0; used < 1_100_000; ) {
      const { user, system } = process.cpuUsage(begin);
      used = user + system;
    }
  };
  expect(() => fuzz(inputs, once(busy))).toThrow();
  fuzz(
    inputs,
    once(() => Bun.sleepSync(1_100)),
    [],
    100,
  );
});

test("a parser that throws another error fails", () => {
  const parse = (bytes: Uint8Array) => {
    if (bytes.length > 3) throw new TypeError("no");
  };
  expect(() => fuzz(inputs, parse, [Known])).toThrow("Property failed");
});
