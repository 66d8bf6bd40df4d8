import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import {
  hostProcesses,
  identify,
  isAlive,
  parseChildren,
  parseNamespacePids,
  parseStat,
  parseTakesSignal,
  signalProcess,
} from "./process-info";

const REST = "0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 987654 1000 200";

describe("parseStat", () => {
  test.each([
    ["plain", `12 (cat) S 7 12 12 ${REST}`, { pid: 12, state: "S", parent: 7, startTime: 987654 }],
    [
      "spaces and parentheses in the name",
      `12 (a) b) (c) R 1 12 12 ${REST}`,
      { pid: 12, state: "R", parent: 1, startTime: 987654 },
    ],
    ["empty", "", undefined],
    ["cut off", "12 (cat) S 7", undefined],
  ] as const)("%s", (_, text, expected) => expect(parseStat(text)).toEqual(expected));
});

test("parseNamespacePids reads only the NSpid line", () => {
  expect(parseNamespacePids("Pid:\t40\nNSpid:\t40\t1\nNSpgid:\t40\t0\n")).toEqual([40, 1]);
  expect(parseNamespacePids("Pid:\t40\n")).toEqual([]);
});

test("parseChildren", () => {
  expect(parseChildren("")).toEqual([]);
  expect(parseChildren("4 15 \n")).toEqual([4, 15]);
});

test("a real child is found, distinguished from a later process with its PID, and signalled", async () => {
  const child = Bun.spawn(["/bin/sleep", "60"]);
  try {
    expect(hostProcesses.children(process.pid)).toContain(child.pid);
    const identity = identify(child.pid);
    if (identity === undefined) throw new Error("The child has no identity.");
    const other = { ...identity, startTime: identity.startTime - 1 };
    expect(isAlive(identity)).toBe(true);
    expect(isAlive(other)).toBe(false);
    expect(signalProcess(other, 9)).toBe(false);
    expect(isAlive(identity)).toBe(true);
    expect(signalProcess(identity, 15)).toBe(true);
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
    expect(isAlive(identity)).toBe(false);
    expect(signalProcess(identity, 15)).toBe(false);
    expect(hostProcesses.children(child.pid)).toEqual([]);
  } finally {
    child.kill(9);
    await child.exited;
  }
});

test.each([
  ["SigBlk:\t0000000000000000\nSigCgt:\t0000000000004002\n", 2, true],
  ["SigBlk:\t0000000000000000\nSigCgt:\t0000000000004002\n", 15, true],
  ["SigBlk:\t0000000000000000\nSigCgt:\t0000000000004002\n", 1, false],
  ["SigBlk:\t0000001000000000\nSigCgt:\t0000000000000000\n", 37, true],
  ["SigIgn:\t0000000000004002\n", 2, false],
])("%j takes signal %d: %p", (status, signal, expected) => expect(parseTakesSignal(status, signal)).toBe(expected));

test("a program is identified by its file, without querying a file system", () => {
  const { dev, ino } = statSync("/proc/self/exe");
  expect(hostProcesses.program(process.pid)).toEndWith(`:${ino}`);
  expect(dev).toBeGreaterThan(0);
  expect(hostProcesses.program(2 ** 22 + 1)).toBeUndefined();
});
