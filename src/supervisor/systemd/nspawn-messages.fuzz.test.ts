import { test } from "bun:test";
import fc from "fast-check";
import { fuzz, jsonLike, textLike } from "../../../test/support/fuzz";
import { exitOf } from "../exit-of";
import { ownMessages } from "./nspawn-messages";

const entry = { MESSAGE: "Failed to start.", _PID: "42", _SYSTEMD_UNIT: "ours.service", __CURSOR: "c" };

test("the journal is read whatever is in it, and an end is made of it", () => {
  const lines = fc.array(fc.oneof(jsonLike(entry, { ...entry, MESSAGE: [1, 255] }), textLike("x")), { maxLength: 5 });
  fuzz(lines, (all) => {
    const lastWords = ownMessages("ours.service", 42, all.join("\n"));
    exitOf({
      machine: "m",
      mode: "pid1",
      nspawn: { code: 1 },
      payloadSeen: false,
      lastWords,
      oomKills: 0,
      killed: false,
      at: 0,
    });
  });
});
