import { expect, test } from "bun:test";
import { mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { journalPath, logPaths } from "./logs";

test("symlinks above an allocation are resolved, those below and other paths are unchanged", async () => {
  const root = await realpath(await mkdtemp(join(tmpdir(), "logs-")));
  try {
    await mkdir(join(root, "data/a/alloc/real"), { recursive: true });
    await symlink("real", join(root, "data/a/alloc/logs"));
    await symlink("data", join(root, "linked"));
    const allocDir = join(root, "linked/a");
    const of = async (stdoutPath: string) =>
      (await logPaths({ allocDir, stdoutPath, stderrPath: "/dev/null" })).stdoutPath;
    expect(await of(join(allocDir, "alloc/logs/x"))).toBe(join(root, "data/a/alloc/logs/x"));
    expect(await of("")).toBe("/dev/null");
    for (const path of ["/dev/null", join(root, "linked/b/x"), join(root, "linked/ab")]) {
      expect(await of(path)).toBe(path);
    }
    expect(await logPaths({ allocDir: "", stdoutPath: "/a", stderrPath: "/b" })).toEqual({
      stdoutPath: "/a",
      stderrPath: "/b",
    });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

test.each([
  [{ boot: true }, "/a"],
  [{ boot: true, journal: "stdout" }, "/a"],
  [{ boot: true, journal: "stderr" }, "/b"],
  [{ boot: true, journal: "off" }, undefined],
  [{ boot: false }, undefined],
] as const)("the journal of %j goes to %p", (options, path) => {
  expect(journalPath(options, { stdoutPath: "/a", stderrPath: "/b" })).toBe(path);
});

test("the journal is not read if Nomad reads no log", () => {
  expect(journalPath({ boot: true }, { stdoutPath: "/dev/null", stderrPath: "/b" })).toBeUndefined();
});
