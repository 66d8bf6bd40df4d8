import { expect, test } from "bun:test";
import { readIfThere } from "./read-file";

test.each([
  ["/proc/self/comm", [], /^\w+/],
  ["/proc/self/nonexistent", [], undefined],
  ["/proc/self/comm/below-a-file", [], undefined],
  ["/proc/2147483647/stat", [], undefined],
  ["/proc", ["EISDIR"], undefined],
])("%s, if %j counts as missing", (path, absent, text) => {
  const found = readIfThere(path, absent);
  if (text === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(text);
});

test("other errors are thrown", () => {
  expect(() => readIfThere("/proc")).toThrow("EISDIR");
});
