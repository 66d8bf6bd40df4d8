import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { TaskConfigSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { resolveSource, taskMounts } from "./mounts";

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
  ])("%p lies in the task directory", async (source, expected) => {
    expect(await resolve(source)).toBe(join(root, expected));
  });

  test.each(["local/out", "local/out/passwd", "..", "../task-evil", "local/sibling"])(
    "%p leads out and is refused",
    async (source) => {
      await expect(resolve(source)).rejects.toThrow("leads out of the task directory");
    },
  );

  test("what does not exist is said before the start", async () => {
    await expect(resolve("local/none")).rejects.toThrow("does not exist on this client");
    await expect(resolve("/no/such/path")).rejects.toThrow("does not exist on this client");
  });

  test("absolute paths are the operator's to allow", async () => {
    expect(await resolve("/etc")).toBe("/etc");
    await expect(resolve("/etc", false)).rejects.toThrow("allow_privileged_binds");
  });
});

describe("taskMounts", () => {
  const config = create(TaskConfigSchema, {
    allocDir: "/a",
    name: "t",
    env: { NOMAD_TASK_DIR: "/elsewhere" },
    mounts: [{ hostPath: "/v", taskPath: "/data", readonly: true, propagationMode: "private" }],
  });

  test("the task's directories are where its variables say, the volumes follow", () => {
    expect(taskMounts(config, true)).toEqual([
      { source: "/a/alloc", target: "/alloc", readOnly: false },
      { source: "/a/t/local", target: "/elsewhere", readOnly: false },
      { source: "/a/t/secrets", target: "/secrets", readOnly: false },
      { source: "/v", target: "/data", readOnly: true, propagation: "private" },
    ]);
  });

  test("volumes can be disabled", () => {
    expect(() => taskMounts(config, false)).toThrow("volumes = false");
  });
});
