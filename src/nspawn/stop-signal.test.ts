import { describe, expect, test } from "bun:test";
import { forwardedSignal, requireSignal, stopSignal } from "./stop-signal";

describe("stopSignal", () => {
  test.each([
    ["pid1", "", 15],
    ["pid2", "", 15],
    ["pid1", "SIGTERM", 15],
    ["pid2", "SIGRTMIN+3", 37],
    ["boot", "", 37],
    ["boot", "SIGTERM", 37],
    ["boot", "SIGHUP", 37],
    ["boot", "SIGKILL", 9],
    ["boot", "SIGRTMIN+4", 38],
  ] as const)("mode %s with kill_signal %p sends %i", (mode, requested, expected) => {
    expect(stopSignal(mode, requested)).toBe(expected);
  });

  test("an unknown name is rejected with a message", () => {
    expect(() => stopSignal("pid1", "SIGNOPE")).toThrow('Unknown signal "SIGNOPE"');
    expect(() => requireSignal("")).toThrow("Unknown signal");
  });
});

test.each([
  ["pid1", "", "SIGTERM"],
  ["pid1", "SIGQUIT", "SIGQUIT"],
  ["pid2", "", "SIGTERM"],
  ["pid2", "SIGQUIT", "SIGTERM"],
  ["boot", "", "SIGRTMIN+3"],
  ["boot", "SIGTERM", "SIGRTMIN+3"],
] as const)("systemd-nspawn in mode %s with StopSignal %p forwards %s", (mode, requested, name) => {
  expect(forwardedSignal(mode, requested)).toBe(name);
});
