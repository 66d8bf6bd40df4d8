import { expect, test } from "bun:test";
import { parseDuration, parseSize } from "./units";

test.each([
  ["0", 0],
  ["500MB", 500_000_000],
  ["1.5 GiB", 1_610_612_736],
  ["2gib", 2_147_483_648],
  ["12", 12],
  ["12B", 12],
  ["", undefined],
  ["-1MB", undefined],
  ["1 0MB", undefined],
  ["5 %", undefined],
  ["MB", undefined],
] as const)("parseSize %p: %p", (text, expected) => expect(parseSize(text)).toBe(expected));

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
