import { describe, expect, test } from "bun:test";
import { decodeExit, type ExitFacts, lastSentence, mayBeOomKill, needsMessages } from "./exit";

describe("exit-of", () => {
  const base: ExitFacts = {
    machine: "web",
    mode: "pid1",
    nspawn: { code: 0 },
    payloadSeen: true,
    stderrTail: "",
    oomKills: 0,
    killed: false,
    at: 5,
  };
  const CLEANUP = `Attempted to remove disk file system under "/run/systemd/nspawn/propagate/web", and we can't allow that.\n`;
  const KILLED = "Container web terminated by signal KILL.\n";

  const cases: readonly (readonly [string, Partial<ExitFacts>, object])[] = [
    ["code 0", {}, { code: 0, signal: 0 }],
    ["code 7", { nspawn: { code: 7 } }, { code: 7, signal: 0 }],
    [
      "code 1 with the payload's own output",
      { nspawn: { code: 1 }, stderrTail: "no such user\n" },
      { code: 1, signal: 0 },
    ],
    [
      "a start that failed",
      {
        nspawn: { code: 1 },
        payloadSeen: false,
        stderrTail: `Directory /x doesn't look like it has an OS tree.\n${CLEANUP}`,
      },
      { code: 1, signal: 0, message: "Directory /x doesn't look like it has an OS tree." },
    ],
    [
      "a start that failed, after which systemd-nspawn killed the container's PID 1",
      {
        nspawn: { code: 1 },
        payloadSeen: false,
        payloadStatus: 9,
        stderrTail: "Failed to register machine: Connection timed out\n",
      },
      { code: 1, signal: 0, message: "Failed to register machine: Connection timed out" },
    ],
    [
      "the same, killed by the driver",
      {
        nspawn: { code: 1 },
        payloadSeen: false,
        payloadStatus: 9,
        stderrTail: "Child died too early.\n",
        killed: true,
      },
      { code: 0, signal: 9 },
    ],
    [
      "a program that was killed before it was seen",
      { nspawn: { code: 1 }, payloadSeen: false, payloadStatus: 9, stderrTail: KILLED },
      { code: 0, signal: 9 },
    ],
    [
      "reported by systemd-nspawn",
      { nspawn: { code: 1 }, stderrTail: `bye\n${KILLED}${CLEANUP}` },
      { code: 0, signal: 9 },
    ],
    [
      "a real-time signal",
      { nspawn: { code: 1 }, stderrTail: "Container web terminated by signal RTMIN+3.\n" },
      { code: 0, signal: 37 },
    ],
    [
      "another machine's line",
      { nspawn: { code: 1 }, stderrTail: "Container api terminated by signal KILL.\n" },
      { code: 1, signal: 0 },
    ],
    [
      "the payload writes such a line and exits with 3",
      { nspawn: { code: 3 }, stderrTail: KILLED },
      { code: 3, signal: 0 },
    ],
    ["the kernel reported the signal", { nspawn: { code: 1 }, payloadStatus: 11 }, { code: 0, signal: 11 }],
    [
      "the kernel reported the signal, core dumped",
      { nspawn: { code: 1 }, payloadStatus: 0x8b },
      { code: 0, signal: 11 },
    ],
    ["the kernel reported a code", { nspawn: { code: 7 }, payloadStatus: 7 << 8 }, { code: 7, signal: 0 }],
    [
      "a code that systemd-nspawn interprets as a reboot",
      { nspawn: { code: 1 }, payloadStatus: 133 << 8 },
      { code: 133, signal: 0 },
    ],
    ["the same, kernel before 6.15", { nspawn: { code: 1 } }, { code: 1, signal: 0 }],
    ["power off of a booted container", { mode: "boot", payloadStatus: 2 }, { code: 0, signal: 0 }],
    ["stub init and a signal", { mode: "pid2", nspawn: { code: 255 }, payloadStatus: 15 }, { code: 0, signal: 15 }],
    ["stub init, kernel before 6.15", { mode: "pid2", nspawn: { code: 255 } }, { code: 255, signal: 0 }],
    [
      "stub init, the payload exits with 255",
      { mode: "pid2", nspawn: { code: 255 }, payloadStatus: 0xff00 },
      { code: 255, signal: 0 },
    ],
    [
      "stub init powered off by signal",
      { mode: "pid2", nspawn: { code: 0 }, payloadStatus: 15 },
      { code: 0, signal: 0 },
    ],
    [
      "killed while it started",
      { nspawn: { code: 1 }, killed: true, stderrTail: "Child died too early.\n" },
      { code: 0, signal: 9 },
    ],
    ["killed while it rebooted", { mode: "boot", nspawn: { code: 133 }, killed: true }, { code: 0, signal: 9 }],
    [
      "killed by the driver, after a child was OOM-killed",
      { nspawn: { code: 1 }, stderrTail: KILLED, oomKills: 1, killed: true },
      { code: 0, signal: 9 },
    ],
    ["exits with 7 while it is killed", { nspawn: { code: 7 }, killed: true }, { code: 7, signal: 0 }],
    [
      "systemd-nspawn killed",
      { nspawn: { signal: 9 } },
      { code: 0, signal: 9, message: "systemd-nspawn itself was killed by SIGKILL." },
    ],
    ["OOM-killed", { nspawn: { code: 1 }, stderrTail: KILLED, oomKills: 1 }, { code: 0, signal: 9, oomKilled: true }],
    [
      "a child OOM-killed, then code 137",
      { nspawn: { code: 137 }, oomKills: 1 },
      { code: 137, signal: 0, oomKilled: true },
    ],
    [
      "a child OOM-killed, then an exit for another reason",
      { nspawn: { code: 4 }, oomKills: 1 },
      { code: 4, signal: 0 },
    ],
    ["a child OOM-killed, then code 0", { oomKills: 1 }, { code: 0, signal: 0 }],
  ];

  describe("exitOf", () => {
    test.each(cases)("%s", (_, ending, expected) =>
      expect(decodeExit({ ...base, ...ending })).toEqual({ code: 0, signal: 0, oomKilled: false, at: 5, ...expected }),
    );
  });

  test.each([
    ["code 0", {}, false],
    ["its own failure, or the program's", { nspawn: { code: 1 } }, true],
    ["the same, killed by the driver", { nspawn: { code: 1 }, killed: true }, false],
    ["the kernel reports a signal", { nspawn: { code: 1 }, payloadStatus: 9 }, false],
    ["the kernel reports the program's exit code", { nspawn: { code: 1 }, payloadStatus: 0x100 }, false],
    ["the kernel reports what a reboot also looks like", { nspawn: { code: 1 }, payloadStatus: 1 }, true],
    ["the kernel reports what a power-off also looks like", { nspawn: { code: 1 }, payloadStatus: 2 }, true],
    ["the program was never seen", { nspawn: { code: 1 }, payloadStatus: 0x100, payloadSeen: false }, true],
    ["a system that booted", { nspawn: { code: 1 }, payloadStatus: 9, mode: "boot" }, true],
    ["systemd-nspawn itself was killed", { nspawn: { signal: 9 } }, false],
  ] as const)("needs messages: %s", (_, ending, expected) =>
    expect(needsMessages({ ...base, ...ending })).toBe(expected),
  );

  test("lastSentence", () => {
    expect(lastSentence("")).toBe("");
    expect(lastSentence("first\r\n\u001b[31mlast\u001b[0m\n\n")).toBe("last");
    expect(lastSentence("Failed to mount.\nShort read while reading whether to enable FUSE.\n")).toBe(
      "Failed to mount.",
    );
    expect(lastSentence("Failed to register machine: Connection timed out\nParent died too early\n")).toBe(
      "Failed to register machine: Connection timed out",
    );
    expect(lastSentence("Child died too early.\n")).toBe("Child died too early.");
    expect(lastSentence("x".repeat(2000))).toHaveLength(500);
  });
});

describe("looks-killed", () => {
  test.each([
    [{ code: 0, signal: 9 }, "pid1", true],
    [{ code: 137, signal: 0 }, "boot", true],
    [{ code: 255, signal: 0 }, "pid2", true],
    [{ code: 255, signal: 0 }, "pid1", false],
    [{ code: 1, signal: 0 }, "pid1", false],
    [{ code: 0, signal: 15 }, "pid2", false],
    [{ code: 0, signal: 0 }, "boot", false],
  ] as const)("%j in mode %s may be an OOM kill: %p", (end, mode, expected) => {
    expect(mayBeOomKill(end, mode)).toBe(expected);
  });
});
