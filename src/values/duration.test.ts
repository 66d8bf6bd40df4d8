import { expect, test } from "bun:test";
import { parseDuration } from "./duration";

test.each([
  ["0", 0],
  ["3m", 180_000],
  ["1h30m", 5_400_000],
  ["1.5s", 1500],
  [".5s", 500],
  ["250ms", 250],
  ["10µs", 0.01],
  ["", undefined],
  ["5", undefined],
  ["-5s", undefined],
  ["1d", undefined],
  ["1h 5m", undefined],
  [".s", undefined],
])("%s", (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});
