import { expect, test } from "bun:test";
import { bytesText, durationText, tableText } from "./table";

test("a table", () => {
  expect(
    tableText([
      ["TASK", "STATE", "UNIT"],
      ["web-front", "up", "x"],
    ]),
  ).toBe("TASK       STATE  UNIT\nweb-front  up     x\n");
});

test.each([
  [undefined, "-"],
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KiB"],
  [13_107_200, "12.5 MiB"],
  [5 * 1024 ** 4, "5.0 TiB"],
])("%p bytes are %p", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [-5, "0 s"],
  [59_999, "59 s"],
  [60_000, "1 min"],
  [3_600_000 * 3 + 600_000, "3 h 10 min"],
  [86_400_000 * 2, "2 d 0 h"],
])("%p ms are %p", (milliseconds, text) => {
  expect(durationText(milliseconds)).toBe(text);
});
