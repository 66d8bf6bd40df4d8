import { describe, expect, test } from "bun:test";
import { hasEnded, mergeProperties, processEnd, unknownUnit } from "./unit-state";

describe("hasEnded", () => {
  test.each([
    ["unknown", false],
    ["start", false],
    ["running", false],
    ["stop-sigterm", false],
    ["auto-restart", false],
    ["dead-before-auto-restart", false],
    ["failed-before-auto-restart", false],
    ["exited", true],
    ["failed", true],
    ["dead", true],
  ])("a unit that is %s", (subState, ended) => {
    expect(hasEnded({ ...unknownUnit, subState })).toBe(ended);
  });

  test("a unit that is gone has exited", () => {
    expect(hasEnded({ ...unknownUnit, loadState: "not-found", subState: "running" })).toBe(true);
  });
});

test("properties of any integer type are merged, and others are ignored", () => {
  const state = mergeProperties(unknownUnit, {
    SubState: "running",
    MainPID: 7,
    ExecMainStartTimestamp: 1_700_000_000_000_000n,
    Result: 5,
    Other: "x",
  });
  expect(state).toEqual({ ...unknownUnit, subState: "running", mainPid: 7, startedAt: 1_700_000_000_000_000 });
});

describe("processEnd", () => {
  test.each([
    [1, 0, { code: 0 }],
    [1, 7, { code: 7 }],
    [2, 15, { signal: 15 }],
    [3, 11, { signal: 11 }],
    [0, 0, { signal: 9 }],
  ])("CLD code %i with status %i", (execMainCode, execMainStatus, expected) => {
    expect(processEnd({ ...unknownUnit, execMainCode, execMainStatus })).toEqual(expected);
  });
});
