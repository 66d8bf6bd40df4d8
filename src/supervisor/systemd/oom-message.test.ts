import { expect, test } from "bun:test";
import { looksKilled, oomArguments } from "./oom-message";

test.each([
  [{ code: 0, signal: 9 }, "pid1", true],
  [{ code: 137, signal: 0 }, "boot", true],
  [{ code: 255, signal: 0 }, "pid2", true],
  [{ code: 255, signal: 0 }, "pid1", false],
  [{ code: 1, signal: 0 }, "pid1", false],
  [{ code: 0, signal: 15 }, "pid2", false],
  [{ code: 0, signal: 0 }, "boot", false],
] as const)("%j in mode %s may be the kernel's doing: %p", (end, mode, expected) => {
  expect(looksKilled(end, mode)).toBe(expected);
});

test("only PID 1's words on this start of this unit count", () => {
  expect(oomArguments("u.service", { startedAt: 5_900_000 })).toEqual([
    "--since=@4",
    "--output=cat",
    "_PID=1",
    "MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef",
    "UNIT=u.service",
  ]);
});
