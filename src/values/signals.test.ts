import { describe, expect, test } from "bun:test";
import { constants } from "node:os";
import { signalName, signalNumber } from "./signals";

describe("signalNumber", () => {
  const table: readonly (readonly [string, number | undefined])[] = [
    ["SIGTERM", 15],
    ["TERM", 15],
    ["sigterm", 15],
    [" SIGINT ", 2],
    ["15", 15],
    ["64", 64],
    ["SIGRTMIN", 34],
    ["SIGRTMIN+3", 37],
    ["RTMIN+3", 37],
    ["SIGRTMAX", 64],
    ["SIGRTMAX-14", 50],
    ["SIGRTMIN+30", 64],
    ["SIGRTMIN+31", undefined],
    ["SIGRTMAX-31", undefined],
    ["SIGRTMIN-1", undefined],
    ["SIGRTMAX+1", undefined],
    ["SIGCLD", 17],
    ["0", undefined],
    ["65", undefined],
    ["-9", undefined],
    ["", undefined],
    ["SIG", undefined],
    ["SIGSIGTERM", undefined],
    ["constructor", undefined],
  ];
  test.each(table)("%p is %p", (name, expected) => expect(signalNumber(name)).toBe(expected));

  test("agrees with this host's own table", () => {
    for (const [name, number] of Object.entries(constants.signals))
      expect([name, signalNumber(name)]).toEqual([name, number]);
  });
});

test("every number converts to a name and back", () => {
  for (let signal = 1; signal <= 64; signal += 1) {
    if (signal === 32 || signal === 33) continue;
    expect(signalNumber(signalName(signal))).toBe(signal);
  }
  expect(signalName(99)).toBe("signal 99");
});
