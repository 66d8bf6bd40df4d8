import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import {
  cpuClock,
  hostId,
  hostProcesses,
  identify,
  isAlive,
  parseChildren,
  parseNamespacePids,
  parseRights,
  parseStat,
  parseTakesSignal,
  signalProcess,
} from "./proc";

describe("process-status", () => {
  const status = `Name:\tsleep
NSpid:\t12667\t1
CapInh:\t00000000f5ecabff
CapPrm:\t00000000f5ecabff
CapEff:\t0000000000000000
CapBnd:\t000001ffffffffff
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t5
`;

  test("parseRights", () => {
    expect(parseRights(status)).toEqual({
      bounding: 0x1ffffffffffn,
      inheritable: 0xf5ecabffn,
      permitted: 0xf5ecabffn,
      noNewPrivileges: true,
      filters: 5,
    });
    expect(parseRights(status.replace(/Seccomp_filters.*\n/, "")).filters).toBe(1);
    expect(parseRights(status.replace("Seccomp:\t2", "Seccomp:\t0").replace(/Seccomp_filters.*\n/, "")).filters).toBe(
      0,
    );
    expect(() => parseRights("Name:\tsleep\n")).toThrow("has no Cap");
  });

  test.each([
    ["         0          0 4294967295\n", 5, 5],
    ["         0  363462656      65536\n", 1000, 363463656],
    ["         0  363462656      65536\n", 65536, undefined],
    ["0 100 10\n10 500 10\n", 12, 502],
    ["", 0, undefined],
  ])("in %j, ID %d is %p on the host", (map, id, expected) => expect(hostId(map, id)).toBe(expected));
});

describe("process-info", () => {
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
});

const cpufreq = "/sys/devices/system/cpu/cpu0/cpufreq";
const cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2445.432\ncache size\t: 512 KB\n";

test.each([
  [{ [`${cpufreq}/base_frequency`]: "2100000\n", [`${cpufreq}/cpuinfo_max_freq`]: "3900000\n" }, 2100],
  [{ [`${cpufreq}/cpuinfo_max_freq`]: "3900000\n", "/proc/cpuinfo": cpuinfo }, 3900],
  [{ "/proc/cpuinfo": cpuinfo }, 2445],
  [{}, 0],
])("%j", (files: Readonly<Record<string, string>>, megahertz) =>
  expect(cpuClock((path) => files[path])).toBe(megahertz),
);
