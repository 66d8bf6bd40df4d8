import { expect, test } from "bun:test";
import { parseFilters } from "./seccomp-program";

const record = (count: number, fill: number) => {
  const bytes = Buffer.alloc(8 + 4096 * 8, fill);
  bytes.writeBigInt64LE(BigInt(count), 0);
  return bytes;
};

test("filters come youngest first and are installed oldest first", () => {
  const filters = parseFilters(Buffer.concat([record(2, 1), record(3, 2)]));
  expect(filters.map((filter) => [filter.length, filter[0]])).toEqual([
    [24, 2],
    [16, 1],
  ]);
});

test("nothing is taken for a filter where the kernel gave none", () => {
  expect(() => parseFilters(record(-13, 0))).toThrow("errno 13");
  expect(parseFilters(new Uint8Array())).toEqual([]);
});
