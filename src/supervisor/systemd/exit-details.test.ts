import { describe, expect, test } from "bun:test";
import { journalArguments, oomArguments, ownMessages } from "./exit-details";

describe("nspawn-messages", () => {
  test("the journal query selects one process, and what systemd-nspawn wrote since its start", () => {
    const args = journalArguments({ execMainPid: 42, startedAt: 5_000_000 });
    expect(args).toContain("--since=@4");
    expect(args.slice(-3)).toEqual(["_PID=42", "+", "SYSLOG_IDENTIFIER=systemd-nspawn"]);
  });

  test("another container's messages are ignored, a child's without a unit are used", () => {
    const lines = [
      { MESSAGE: "of the process", _PID: "42" },
      { MESSAGE: "of a child that is known", _PID: "43", _SYSTEMD_UNIT: "ours.service" },
      { MESSAGE: "of a child that had ended", _PID: "44" },
      { MESSAGE: "of another container", _PID: "45", _SYSTEMD_UNIT: "theirs.service" },
      { MESSAGE: [0x1b, 0x21], _PID: "42" },
      { _PID: "42" },
    ];
    const json = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    expect(ownMessages("ours.service", 42, json)).toBe(
      "of the process\nof a child that is known\nof a child that had ended\n\u001b!\n",
    );
    expect(ownMessages("ours.service", 42, "")).toBe("");
  });

  describe("an unexpected line of the journal", () => {
    const whole = JSON.stringify({ MESSAGE: "whole", _PID: "42" });
    test.each<[string, string, string]>([
      ["a message that is too long is null", JSON.stringify({ MESSAGE: null, _PID: "42" }), ""],
      ["a message that occurs twice", JSON.stringify({ MESSAGE: ["one", "two"], _PID: "42" }), "one\ntwo\n"],
      ["one of two in bytes", JSON.stringify({ MESSAGE: ["one", [33]], _PID: "42" }), "one\n!\n"],
      ["one of two too long", JSON.stringify({ MESSAGE: [null, "two"], _PID: "42" }), "two\n"],
      ["invalid UTF-8", JSON.stringify({ MESSAGE: [0xff, 33], _PID: "42" }), "\ufffd!\n"],
      ["an empty list", JSON.stringify({ MESSAGE: [], _PID: "42" }), ""],
      ["a number", JSON.stringify({ MESSAGE: 7, _PID: "42" }), ""],
      ["an object", JSON.stringify({ MESSAGE: { text: "x" }, _PID: "42" }), ""],
      ["a PID that is a number", JSON.stringify({ MESSAGE: "x", _PID: 42, _SYSTEMD_UNIT: "theirs.service" }), ""],
      ["a PID that occurs twice", JSON.stringify({ MESSAGE: "x", _PID: ["1", "42"], _SYSTEMD_UNIT: "a" }), "x\n"],
      ["a unit in bytes", JSON.stringify({ MESSAGE: "x", _SYSTEMD_UNIT: [...Buffer.from("ours.service")] }), "x\n"],
      ["a unit that is null", JSON.stringify({ MESSAGE: "x", _PID: "1", _SYSTEMD_UNIT: null }), ""],
      ["a list", "[1]", ""],
      ["null", "null", ""],
      ["half an object", '{"MESSAGE":"x", "_PI', ""],
      ["invalid JSON", "-- No entries --", ""],
      ["a huge line", JSON.stringify({ MESSAGE: "x".repeat(2_000_000), _PID: "43", _SYSTEMD_UNIT: "theirs" }), ""],
    ])("is read if possible, or skipped: %s", (_, line, expected) => {
      expect(ownMessages("ours.service", 42, `${line}\n${whole}\n`)).toBe(`${expected}whole\n`);
    });
  });
});

describe("oom-message", () => {
  test("only PID 1's messages on this start of this unit count", () => {
    expect(oomArguments("u.service", { startedAt: 5_900_000 })).toEqual([
      "--since=@4",
      "--output=cat",
      "_PID=1",
      "MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef",
      "UNIT=u.service",
    ]);
  });
});
