import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindMounts, overlayMounts, resolveSource } from "./mounts";

let root: string;
let task: string;
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "mounts-")));
  task = join(root, "task");
  await mkdir(join(task, "local/data"), { recursive: true });
  await mkdir(join(root, "task-evil"));
  await writeFile(join(task, "local/file"), "x");
  await symlink("/etc", join(task, "local/out"));
  await symlink("data", join(task, "local/in"));
  await symlink("../../task-evil", join(task, "local/sibling"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe("resolveSource", () => {
  const resolve = (source: string, privileged = true) =>
    resolveSource("bind", source, { taskDirectory: task, privileged });

  test.each([
    ["local/data", "task/local/data"],
    ["local/in", "task/local/data"],
    ["./local/file", "task/local/file"],
    [".", "task"],
  ])("%p is in the task directory", async (source, expected) => {
    expect(await resolve(source)).toBe(join(root, expected));
  });

  test.each(["local/out", "local/out/passwd", "..", "../task-evil", "local/sibling"])(
    "%p is outside the task directory and is rejected",
    async (source) => {
      await expect(resolve(source)).rejects.toThrow("is outside the task directory");
    },
  );

  test("a missing source is reported before the start", async () => {
    await expect(resolve("local/none")).rejects.toThrow("does not exist on this client");
    await expect(resolve("/no/such/path")).rejects.toThrow("does not exist on this client");
  });

  test("absolute paths need the operator's permission", async () => {
    expect(await resolve("/etc")).toBe("/etc");
    await expect(resolve("/etc", false)).rejects.toThrow("allow_privileged_binds");
  });
});

describe("bindMounts", () => {
  const policy = () => ({ taskDirectory: task, privileged: true });

  test("owners are mapped for paths in the task directory, and unchanged for host paths", async () => {
    const mounts = await bindMounts(
      { bind: { "local/data": "/data:norbind", "local/in": "/again" }, bind_read_only: { "/etc": "/host" } },
      policy(),
    );
    expect(mounts).toEqual([
      { source: join(task, "local/data"), target: "/data", readOnly: false, options: ["norbind"] },
      { source: join(task, "local/data"), target: "/again", readOnly: false },
      { source: "/etc", target: "/host", readOnly: true, keepOwners: true },
    ]);
  });

  test("both directories of an overlay are checked", async () => {
    const overlay = (lower: string, upper: string | undefined) =>
      overlayMounts([{ lower: [lower], upper, target: "/o" }], policy());
    expect(await overlay("local/data", undefined)).toEqual([
      { lower: [join(task, "local/data")], upper: undefined, target: "/o" },
    ]);
    await expect(overlay("local/out", undefined)).rejects.toThrow('overlay "local/out" is outside');
    await expect(overlay("local/data", "local/sibling")).rejects.toThrow("is outside the task directory");
  });
});
