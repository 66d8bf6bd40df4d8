import { expect, test } from "bun:test";
import { SYS } from "../../linux/constants";
import { copyUnit, hasCopies, waitsForInput } from "./log-copy";

test.each([
  [`${SYS.read} 0x0 0x7fffe10224b0 0x2000 0x0 0x0 0x0 0x7fffe1022420 0x7f48524d13a7\n`, true],
  // Of another descriptor, another call, and of a process that runs.
  [`${SYS.read} 0x3 0x7fffe10224b0 0x2000 0x0 0x0 0x0 0x7fffe1022420 0x7f48524d13a7\n`, false],
  [`${SYS.write} 0x0 0x7fffe10224b0 0x2000 0x0 0x0 0x0 0x7fffe1022420 0x7f48524d13a7\n`, false],
  ["running\n", false],
  [undefined, true],
])("%j means that a copy waits for input: %j", (call, waits) => {
  expect(waitsForInput(call)).toBe(waits);
});

test("a copy's unit is named after its machine and stream, and none exists for a machine without", () => {
  expect(copyUnit("web-1", "stderr")).toBe("nomad-log-web-1-stderr.service");
  expect(hasCopies("web-1")).toBe(false);
});
