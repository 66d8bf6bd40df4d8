import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, chown, mkdir, mkdtemp, realpath, rename, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AncestorFacts, ancestorProblem, checkAncestors } from "./image-ancestors";

const good: AncestorFacts = {
  path: "/srv/i",
  isDirectory: true,
  uid: 0,
  mode: 0o40755,
  nextIsOfRoot: true,
  isSystemTree: false,
};

test.each([
  [{}, undefined],
  [{ mode: 0o40700 }, undefined],
  [{ isDirectory: false }, /is no longer a directory/],
  [{ uid: 1000 }, /belongs to user 1000/],
  [{ uid: 1_234_567_168 }, /belongs to user 1234567168/],
  [{ mode: 0o42775 }, /writable by group or others \(mode 2775\)/],
  [{ mode: 0o41777 }, undefined],
  [{ mode: 0o41777, nextIsOfRoot: false }, /mode 1777/],
  [{ isSystemTree: true }, /is inside \/srv\/i, which is itself a root filesystem/],
])("%j", (facts, problem) => {
  const found = ancestorProblem({ ...good, ...facts });
  if (problem === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(problem);
});

describe("the directories above an image", () => {
  let root: string;
  beforeAll(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), "ancestors-")));
    for (const path of ["plain/debian", "system/usr", "system/sub", "system/deep/er", "users/debian", "open/debian"]) {
      await mkdir(join(root, path), { recursive: true });
    }
    await chown(join(root, "users"), 1000, 1000);
    await chmod(join(root, "open"), 0o777);
    await symlink("plain", join(root, "link"));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const check = (path: string, allowed = root) => checkAncestors('"x"', allowed, join(root, path));

  test("directories owned by root are accepted, and the allowed one is not checked", () => {
    check("plain/debian");
    check("plain");
    check("system");
    check("users/debian", join(root, "users"));
    check("open/debian", join(root, "open"));
    checkAncestors('"x"', "/", "/var/lib");
  });

  test.each([
    ["system/sub", /is inside .*\/system, which/],
    ["system/deep/er", /is inside .*\/system, which/],
    ["users/debian", /belongs to user 1000/],
    ["open/debian", /mode 777/],
    ["link/debian", /link is no longer a directory/],
    ["gone/debian", /cannot be opened/],
  ])("%s is rejected", (path, sentence) => {
    expect(() => check(path)).toThrow(sentence);
  });

  test("a directory that a symlink replaced after it was resolved is not followed", async () => {
    await mkdir(join(root, "swapped/inner/debian"), { recursive: true });
    check("swapped/inner/debian");
    await rename(join(root, "swapped/inner"), join(root, "swapped/old"));
    await symlink("/", join(root, "swapped/inner"));
    expect(() => check("swapped/inner/debian")).toThrow(/inner is no longer a directory/);
  });
});
