import { expect, test } from "bun:test";
import { LineSplitter } from "./lines";

const texts = (splitter: LineSplitter, ...parts: readonly string[]) =>
  parts.flatMap((part) => splitter.push(Buffer.from(part)).map(({ text }) => text));

test.each([
  [["a\nb\n"], ["a", "b"]],
  [["a", "b\n", "c"], ["ab"]],
  [["\n\n"], ["", ""]],
  [["12345678\n"], ["12345678"]],
  [["123456789\nnext\n"], [undefined, "next"]],
  [
    ["12345", "6789", "more\nnext\n"],
    [undefined, "next"],
  ],
  [["ä\n"], ["ä"]],
])("%j are the lines %j", (parts, expected) => {
  expect(texts(new LineSplitter(8), ...parts)).toEqual(expected);
});

test("bytes that are kept are copied", () => {
  const splitter = new LineSplitter(8);
  const bytes = Buffer.from("ab");
  splitter.push(bytes);
  bytes.fill("x");
  expect(texts(splitter, "c\n")).toEqual(["abc"]);
});
