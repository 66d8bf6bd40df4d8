import { expect, test } from "bun:test";
import { isRecentEnough } from "./go";

test.each([
  ["go1.25.8", true],
  ["go1.26.0", true],
  ["go1.26", true],
  ["go1.25.10", true],
  ["go1.25.7", false],
  ["go1.19.8", false],
  ["devel +abc", false],
  ["", false],
])("%p recent enough: %p", (version, expected) => {
  expect(isRecentEnough(version, "1.25.8")).toBe(expected);
});
