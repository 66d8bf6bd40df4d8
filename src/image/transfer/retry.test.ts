import { describe, expect, test } from "bun:test";
import { pauseMs, RETRY_OPTIONS, retryAfterMs } from "./retry";

test.each([
  [1, 0, 250],
  [1, 1, 500],
  [2, 1, 1000],
  [3, 0, 1000],
  [5, 1, 8000],
  [9, 1, 10_000],
  [60, 0, 5000],
] as const)("after %d failures, at random %d: %d ms", (failures, random, expected) =>
  expect(pauseMs(failures, random, RETRY_OPTIONS)).toBe(expected),
);

describe("Retry-After", () => {
  const now = Date.parse("Tue, 24 Nov 2026 10:00:00 GMT");
  test.each([
    ["120", 120_000],
    [" 0 ", 0],
    ["Tue, 24 Nov 2026 10:00:30 GMT", 30_000],
    ["Tue, 24 Nov 2026 09:00:00 GMT", 0],
    ["soon", undefined],
    ["-5", undefined],
    ["1.5", undefined],
    ["2026", 2_026_000],
    ["", undefined],
    [null, undefined],
  ] as const)("%p", (header, expected) => expect(retryAfterMs(header, now)).toBe(expected));
});
