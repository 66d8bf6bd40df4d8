import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { osTreeProblem } from "./os-tree";

let tree = "";
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "os-tree-"));
  mkdirSync(join(tree, "etc"));
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

describe("osTreeProblem", () => {
  test("a command needs /usr", async () => {
    expect(await osTreeProblem(tree, { boot: false })).toMatch(/\(no \/usr\)/);
    mkdirSync(join(tree, "usr"));
    expect(await osTreeProblem(tree, { boot: false })).toBeUndefined();
    expect(await osTreeProblem(tree, { boot: true })).toMatch(/neither \/etc\/os-release nor \/usr\/lib\/os-release/);
  });

  test("to boot, one of the os-release files", async () => {
    mkdirSync(join(tree, "usr/lib"), { recursive: true });
    writeFileSync(join(tree, "usr/lib/os-release"), "");
    expect(await osTreeProblem(tree, { boot: true })).toBeUndefined();
  });

  test.each([
    ["relative", "../usr/lib/os-release", true],
    ["absolute in the container", "/usr/lib/os-release", true],
    ["above the root", "../../../usr/lib/os-release", true],
    ["to a file that exists only on the host", "/proc/version", false],
    ["to itself", "os-release", false],
  ] as const)("a symlink: %s", async (_, target, found) => {
    mkdirSync(join(tree, "usr/lib"), { recursive: true });
    if (found) writeFileSync(join(tree, "usr/lib/os-release"), "");
    symlinkSync(target, join(tree, "etc/os-release"));
    expect((await osTreeProblem(tree, { boot: true })) === undefined).toBe(found);
  });

  test("below a pivot root", async () => {
    mkdirSync(join(tree, "deploy/usr"), { recursive: true });
    expect(await osTreeProblem(tree, { boot: false })).not.toBeUndefined();
    expect(await osTreeProblem(tree, { boot: false, pivotRoot: "/deploy" })).toBeUndefined();
  });
});
