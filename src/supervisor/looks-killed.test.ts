import { expect, test } from "bun:test";
import { looksKilled } from "./looks-killed";

test.each([
  [{ code: 0, signal: 9 }, "pid1", true],
  [{ code: 137, signal: 0 }, "boot", true],
  [{ code: 255, signal: 0 }, "pid2", true],
  [{ code: 255, signal: 0 }, "pid1", false],
  [{ code: 1, signal: 0 }, "pid1", false],
  [{ code: 0, signal: 15 }, "pid2", false],
  [{ code: 0, signal: 0 }, "boot", false],
] as const)("%j in mode %s may be an OOM kill: %p", (end, mode, expected) => {
  expect(looksKilled(end, mode)).toBe(expected);
});
