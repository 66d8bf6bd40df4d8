import { describe, expect, test } from "bun:test";
import { FIRST_STEP, REPORT_KIND, STEPS } from "./enter-program";
import { exitCode, programPaths, sessionEnd, sessionEnvironment, workingDirectories } from "./session-plan";

const user = { uid: 1, gid: 1, groups: [], name: "app", home: "/home/app" };
const report = (...records: (readonly [kind: number, value: bigint])[]) =>
  new Uint8Array(BigInt64Array.from(records.flatMap(([kind, value]) => [BigInt(kind), value])).buffer);

describe("sessionEnd", () => {
  test.each([
    ["exit 0", 0n, { code: 0, signal: 0 }],
    ["exit 7", 7n << 8n, { code: 7, signal: 0 }],
    ["exit 255", 255n << 8n, { code: 255, signal: 0 }],
    ["killed", 9n, { code: 0, signal: 9 }],
    ["killed, with a core dump", 11n | 128n, { code: 0, signal: 11 }],
    ["bytes the kernel did not write", (1n << 40n) | (3n << 8n), { code: 3, signal: 0 }],
  ])("%s", (_, status, expected) => expect(sessionEnd(report([REPORT_KIND.ended, status]), "x")).toEqual(expected));

  test("no report: it was killed", () => expect(sessionEnd(new Uint8Array(), "x")).toEqual({ code: 0, signal: 9 }));

  test.each([
    [[-2n], 127, "no such file in the container"],
    [[-2n, -13n, -2n], 126, "permission denied"],
    [[-2n, -20n], 127, "a part of its path is not a directory"],
    [[-8n], 126, "not an executable for this machine"],
    [[-99n], 126, "EADDRNOTAVAIL: address not available"],
  ])("a command that cannot be run (%p)", (errors, code, words) => {
    const records = errors.map((error) => [REPORT_KIND.notRun, error] as const);
    const complaint = `"a \\"b\\"" cannot be run: ${words}.\n`;
    const end = sessionEnd(report(...records, [REPORT_KIND.ended, 127n << 8n]), 'a "b"');
    expect(end).toEqual({ code, signal: 0, complaint });
  });

  test("a failed step is named in the error", () => {
    const step = STEPS.indexOf("cannot join its namespaces");
    expect(() => sessionEnd(report([step + FIRST_STEP, -1n]), "x")).toThrow(
      "Cannot run a command in the task's container: cannot join its namespaces: EPERM: operation not permitted.",
    );
  });
});

test("exit codes as shells give them", () => {
  expect(exitCode({ code: 3, signal: 0 })).toBe(3);
  expect(exitCode({ code: 0, signal: 15 })).toBe(143);
});

test("the environment: systemd-nspawn's, the terminal's, and the task's over these", () => {
  const environment = { HOME: "/srv", A: "b=c" };
  expect(sessionEnvironment({ environment }, user, false)).toEqual([
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "container=systemd-nspawn",
    "HOME=/srv",
    "USER=app",
    "LOGNAME=app",
    "A=b=c",
  ]);
  expect(sessionEnvironment({ environment }, user, true)).toContain("TERM=xterm-256color");
});

test("a command's name is looked up in the task's PATH, in absolute directories only", () => {
  expect(programPaths("/bin/x", {})).toEqual(["/bin/x"]);
  expect(programPaths("./x", {})).toEqual(["./x"]);
  expect(programPaths("x", { PATH: "/a:relative::/b" })).toEqual(["/a/x", "/b/x"]);
  expect(programPaths("x", {})).toHaveLength(6);
});

test("the working directory is the task's, or the user's home if it exists", () => {
  expect(workingDirectories({ environment: {}, workingDirectory: "/srv" }, user)).toEqual(["/srv"]);
  expect(workingDirectories({ environment: {} }, user)).toEqual(["/home/app", "/"]);
});
