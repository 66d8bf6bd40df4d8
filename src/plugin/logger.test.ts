import { describe, expect, test } from "bun:test";
import { createLogger, formatLogLine } from "./logger";

describe("formatLogLine", () => {
  test.each([
    [0, "1970-01-01T00:00:00.000000Z"],
    [1700000000123, "2023-11-14T22:13:20.123000Z"],
    [1700000000123.4565, "2023-11-14T22:13:20.123456Z"],
  ])("the timestamp of %p has six fraction digits", (at, expected) => {
    const line = formatLogLine("info", "nspawn", "hello", {}, at);
    expect(JSON.parse(line)["@timestamp"]).toBe(expected);
  });

  test("is one line whatever the message contains", () => {
    const line = formatLogLine("warn", "nspawn", "two\nlines", { reason: "a\nb", count: 2 }, 0);
    expect(line.endsWith("\n")).toBe(true);
    expect(line.slice(0, -1)).not.toContain("\n");
    expect(JSON.parse(line)).toMatchObject({
      "@level": "warn",
      "@module": "nspawn",
      "@message": "two\nlines",
      reason: "a\nb",
      count: 2,
    });
  });
});

test("a named logger extends its parent's name", () => {
  const lines: string[] = [];
  createLogger("nspawn", (line) => lines.push(line))
    .named("systemd")
    .error("gone");
  expect(JSON.parse(lines.join(""))).toMatchObject({ "@module": "nspawn.systemd", "@level": "error" });
});
