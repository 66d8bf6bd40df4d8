import { expect, test } from "bun:test";
import { formatLogLine } from "../../plugin/logger";
import { logSentence } from "./plugin-process";

test.each([
  ["info", false, undefined],
  ["info", true, '[info] nspawn: It started. machine="web"'],
  ["warn", false, '[warn] It started. machine="web"'],
  ["error", false, '[error] It started. machine="web"'],
] as const)("level %s, verbose %p", (level, verbose, expected) => {
  expect(logSentence(formatLogLine(level, "nspawn", "It started.", { machine: "web" }, 0), verbose)).toBe(expected);
});

test.each(["panic", "{}", "[1]", '"text"'])("a line that is not JSON is shown unchanged: %p", (line) => {
  expect(logSentence(line, false)).toBe(line);
});
