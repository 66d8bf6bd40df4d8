import { expect, test } from "bun:test";
import { chunksOf } from "./journal-follower";

test.each([
  ["", []],
  ["ab\ncd\n", ["ab\ncd\n"]],
  ["abcd\nefgh\n", ["abcd\n", "efgh\n"]],
  ["a\nb\nc\nd\ne\n", ["a\nb\nc\nd\n", "e\n"]],
  ["0123456789\nab\n", ["01234567", "89\nab\n"]],
])("%j is written as %j", (text, expected) => {
  expect([...chunksOf(text, 8)].map((chunk) => Buffer.from(chunk).toString())).toEqual(expected);
});
