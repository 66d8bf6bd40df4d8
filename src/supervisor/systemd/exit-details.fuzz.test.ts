import { test } from "bun:test";
import fc from "fast-check";
import { fuzz, jsonLike, textLike } from "../../../test/support/fuzz";
import { decodeExit } from "../../nspawn/exit";
import { ownMessages } from "./exit-details";

const entry = { MESSAGE: "Failed to start.", _PID: "42", _SYSTEMD_UNIT: "ours.service", __CURSOR: "c" };

test("any journal is read, and an exit status is made from it", () => {
  const lines = fc.array(fc.oneof(jsonLike(entry, { ...entry, MESSAGE: [1, 255] }), textLike("x")), { maxLength: 5 });
  fuzz(lines, (all) => {
    const stderrTail = ownMessages("ours.service", 42, all.join("\n"));
    decodeExit({
      machine: "m",
      mode: "pid1",
      nspawn: { code: 1 },
      payloadSeen: false,
      stderrTail,
      oomKills: 0,
      killed: false,
      at: 0,
    });
  });
});
