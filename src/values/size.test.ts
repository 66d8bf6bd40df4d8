import { expect, test } from "bun:test";
import { parseSize } from "./size";

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
