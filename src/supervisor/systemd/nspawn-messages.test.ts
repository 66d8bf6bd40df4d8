import { expect, test } from "bun:test";
import { journalArguments, ownMessages } from "./nspawn-messages";

test("the journal is asked for one process, and for what systemd-nspawn wrote since its start", () => {
  const args = journalArguments({ execMainPid: 42, startedAt: 5_000_000 });
  expect(args).toContain("--since=@4");
  expect(args.slice(-3)).toEqual(["_PID=42", "+", "SYSLOG_IDENTIFIER=systemd-nspawn"]);
});

test("another container's messages are not ours, a child's without a unit are", () => {
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
