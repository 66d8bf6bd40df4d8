import { expect, test } from "bun:test";
import { CAPABILITIES } from "../values/names";
import { divideDropped } from "./payload-wrapper";

test.each([
  [[], [], []],
  [["CAP_CHOWN"], ["CAP_CHOWN"], []],
  [["CAP_SETGID", "CAP_CHOWN"], ["CAP_CHOWN"], ["CAP_SETGID"]],
  [["CAP_SETPCAP", "CAP_SETUID"], [], ["CAP_SETUID", "CAP_SETPCAP"]],
])("%j is dropped by systemd-nspawn and the wrapper", (names, bySwitch, byWrapper) =>
  expect(divideDropped(names)).toEqual({ bySwitch, byWrapper }),
);

test("of all capabilities, the wrapper drops those that it needs itself, the one for dropping last", () => {
  const { bySwitch, byWrapper } = divideDropped(["all"]);
  expect(byWrapper).toEqual(["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]);
  expect([...bySwitch, ...byWrapper].sort()).toEqual([...CAPABILITIES].sort());
});
