import { describe, expect, test } from "bun:test";
import { isCursor, journalCommand, ofBoot, parseEntry, sameEntry } from "./journal-entry";

const CURSOR = "s=0639;i=1c;b=41;m=b8c;t=6447;x=a1";
const text = (fields: Readonly<Record<string, unknown>>) => parseEntry(JSON.stringify(fields))?.text;

describe("parseEntry()", () => {
  test.each([
    ["a service", { _SYSTEMD_UNIT: "web.service", MESSAGE: "ready", _PID: "40" }, "web.service: ready\n"],
    ["several lines", { _SYSTEMD_UNIT: "web.service", MESSAGE: "a\nb\n" }, "web.service: a\nweb.service: b\n"],
    ["bytes", { _SYSTEMD_UNIT: "web.service", MESSAGE: [104, 105, 255] }, "web.service: hi\ufffd\n"],
    ["a field twice", { SYSLOG_IDENTIFIER: ["one", "two"], MESSAGE: ["first", "second"] }, "one: first\n"],
    ["no unit", { SYSLOG_IDENTIFIER: "cron", MESSAGE: "m" }, "cron: m\n"],
    ["no source", { MESSAGE: "m" }, "journal: m\n"],
    ["no message", { _SYSTEMD_UNIT: "web.service" }, "web.service: \n"],
    ["null", { _SYSTEMD_UNIT: "web.service", MESSAGE: null }, "web.service: \n"],
    ["a source with a newline", { SYSLOG_IDENTIFIER: "a\nb", MESSAGE: "m" }, "a b: m\n"],
    [
      "PID 1 about a unit",
      { _PID: "1", UNIT: "web.service", _SYSTEMD_UNIT: "init.scope", MESSAGE: "web.service: Failed with result 'x'." },
      "web.service: Failed with result 'x'.\n",
    ],
    ["PID 1", { _PID: "1", _SYSTEMD_UNIT: "init.scope", SYSLOG_IDENTIFIER: "systemd", MESSAGE: "m" }, "systemd: m\n"],
    [
      "a start that the console shows",
      { _PID: "1", UNIT: "web.service", MESSAGE_ID: "39f53479d3a045ac8e11786248231fbf", MESSAGE: "Started web." },
      "",
    ],
    [
      "a message of another process with that ID",
      { _PID: "7", _SYSTEMD_UNIT: "a", MESSAGE_ID: "39f53479d3a045ac8e11786248231fbf", MESSAGE: "m" },
      "a: m\n",
    ],
  ])("%s", (_name, fields, expected) => {
    expect(text(fields)).toBe(expected);
  });

  test.each(["", "{", "1", "null", "[]", '"x"'])("%j is no entry", (line) => {
    expect(parseEntry(line)?.text ?? "none").toBe("none");
  });

  test("a cursor is read only in its form", () => {
    expect(parseEntry(JSON.stringify({ __CURSOR: CURSOR }))?.cursor).toBe(CURSOR);
    expect(parseEntry(JSON.stringify({ __CURSOR: "--file=/x" }))?.cursor).toBeUndefined();
  });
});

test.each([
  [CURSOR, true],
  ["s=1", true],
  ["", false],
  ["s=1;", false],
  ["s=1 b=2", false],
  [`s=${"0".repeat(600)}`, false],
])("isCursor(%j) is %p", (cursor, expected) => {
  expect(isCursor(cursor)).toBe(expected);
});

const BOOT = "10ed1eaa-54b5-4a3c-9a35-96b3a54e1a92";

test.each([
  [`s=1;b=${BOOT.replaceAll("-", "")};m=2`, true],
  [`s=1;b=${"0".repeat(32)};m=2`, false],
  ["s=1", false],
])("whether %j is of a boot: %p", (cursor, expected) => {
  expect(ofBoot(cursor, `${BOOT}\n`)).toBe(expected);
  expect(ofBoot(cursor, "")).toBe(true);
});

test("an entry that was copied to another file is the same one", () => {
  expect(sameEntry(CURSOR, CURSOR.replace("s=0639;i=1c", "s=77;i=2"))).toBe(true);
  expect(sameEntry(CURSOR, CURSOR.replace("x=a1", "x=a2"))).toBe(false);
});

test("the journal is read from its cursor, or from the beginning of the boot", () => {
  expect(journalCommand(CURSOR)).toContain(`--cursor=${CURSOR}`);
  expect(journalCommand(CURSOR)).not.toContain("--boot");
  expect(journalCommand(undefined)).toContain("--boot");
});
