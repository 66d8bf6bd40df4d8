import { expect, test } from "bun:test";
import { filtersProgram, MAX_FILTERS, parseFilters } from "./seccomp";

const record = (count: number, fill: number) => {
  const bytes = Buffer.alloc(8 + 4096 * 8, fill);
  bytes.writeBigInt64LE(BigInt(count), 0);
  return bytes;
};

test("filters are read newest first and installed oldest first", () => {
  const filters = parseFilters(Buffer.concat([record(2, 1), record(3, 2)]), 2);
  expect(filters.map((filter) => [filter.length, filter[0]])).toEqual([
    [24, 2],
    [16, 1],
  ]);
});

test.each<[string, Uint8Array, number, string]>([
  ["an errno instead", record(-13, 0), 1, "EACCES"],
  ["nothing at all", new Uint8Array(), 1, "0 of 1"],
  ["one of two", record(2, 1), 2, "1 of 2"],
  ["half of one", record(2, 1).subarray(0, 1000), 1, "0 of 1"],
  ["an empty one", record(0, 1), 1, "0 instructions"],
  ["one that is too long", record(4097, 1), 1, "4097 instructions"],
])("incomplete output is rejected: %s", (_, output, expected, why) => {
  expect(() => parseFilters(output, expected)).toThrow(why);
});

test("rejects more filters than the maximum", () => {
  expect(filtersProgram(1, MAX_FILTERS).length).toBeLessThan(4 * 1024 * 1024);
  expect(() => filtersProgram(1, MAX_FILTERS + 1)).toThrow("64 filters");
});
