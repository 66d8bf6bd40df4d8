import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MountSchema, TaskConfigSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { bindMounts, labelNotes, overlayMounts, ownMounts, resolveSource, volumeMounts, volumesAmong } from "./mounts";

describe("mounts", () => {
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
});

describe("task-mounts", () => {
  let root: string;
  beforeAll(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), "task-mounts-")));
    const logged = ["logged/alloc/logs", "logged/t/local", "logged/t/secrets", "moved/alloc/was", "moved/t/local"];
    for (const name of ["a/alloc", "a/t/local", "a/t/secrets", "a/led/secrets", "volume", ...logged]) {
      await mkdir(join(root, name), { recursive: true });
    }
    await symlink("/etc", join(root, "a/led/local"));
    await symlink("a", join(root, "data"));
    await symlink("was", join(root, "moved/alloc/logs"));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const config = (name: string, allocDir = "a") =>
    create(TaskConfigSchema, { allocDir: join(root, allocDir), name, env: { NOMAD_TASK_DIR: "/elsewhere" } });

  describe("ownMounts", () => {
    test("the directories are at the paths in their variables", async () => {
      expect(await ownMounts(config("t"), [])).toEqual([
        { source: join(root, "a/alloc"), target: "/alloc", readOnly: false },
        { source: join(root, "a/t/local"), target: "/elsewhere", readOnly: false },
        { source: join(root, "a/t/secrets"), target: "/secrets", readOnly: false },
      ]);
    });

    test("the logs in the allocation directory are read-only", async () => {
      expect(await ownMounts(config("t", "logged"), [])).toContainEqual({
        source: join(root, "logged/alloc/logs"),
        target: "/alloc/logs",
        readOnly: true,
        shield: true,
      });
      const targets = (await ownMounts(config("t", "logged"), ["/alloc/logs"])).map(({ target }) => target);
      expect(targets).not.toContain("/alloc/logs");
      await expect(ownMounts(config("t", "moved"), [])).rejects.toThrow(/logs was replaced by a symlink/);
    });

    test("a symlink above the allocation is followed", async () => {
      expect((await ownMounts(config("t", "data"), []))[0]?.source).toBe(join(root, "a/alloc"));
    });

    test("a symlink in place of one is not followed", async () => {
      await expect(ownMounts(config("led"), [])).rejects.toThrow(/local was replaced by a symlink \(to \/etc\)/);
    });

    test("a missing directory is reported before the start", async () => {
      await expect(ownMounts(config("none"), [])).rejects.toThrow("none/local does not exist on this client");
    });

    test("a mount of the job takes precedence", async () => {
      const targets = (await ownMounts(config("t"), ["/alloc", "/secrets"])).map(({ target }) => target);
      expect(targets).toEqual(["/elsewhere"]);
    });
  });

  describe("volumeMounts", () => {
    const volumes = (mount: MessageInitShape<typeof MountSchema>, allowed = true, taken: string[] = []) =>
      volumeMounts(
        [create(MountSchema, { hostPath: join(root, "volume"), taskPath: "/data", ...mount })],
        { allowed, named: false },
        taken,
      );

    test("are as Nomad sends them", async () => {
      expect(await volumes({ readonly: true, propagationMode: "private" })).toEqual([
        { source: join(root, "volume"), target: "/data", readOnly: true, propagation: "private" },
      ]);
    });

    test.each([
      ["a missing path", { hostPath: "/no/such" }, /"\/data" cannot be mounted: \/no\/such does not exist/],
      ["an unknown propagation", { propagationMode: "shared" }, /"shared" of a volume_mount is unknown/],
      ["a relative target", { taskPath: "data" }, /must be an absolute path in the container/],
    ] as const)("%s is reported before the start", async (_name, mount, sentence) => {
      await expect(volumes(mount)).rejects.toThrow(sentence);
    });

    test("can be disabled, and cannot share a target with another mount", async () => {
      await expect(volumes({}, false)).rejects.toThrow("volumes = false");
      await expect(volumes({ taskPath: "/data/" }, true, ["/data"])).rejects.toThrow("one path can be mounted once");
    });
  });

  describe("volumesAmong", () => {
    const mounts = (...names: string[]) => names.map((requestName) => create(MountSchema, { requestName }));
    const named = (wanted: boolean, ...names: string[]) =>
      volumesAmong(mounts(...names), wanted).map(({ requestName }) => requestName);

    test.each([
      ["an agent that names none: every mount counts", false, ["", ""], ["", ""]],
      ["an agent that named one: the others are not volumes", false, ["data", ""], ["data"]],
      ["an agent that called Init: those without a name are not volumes", true, ["", ""], []],
      ["an agent that called Init", true, ["", "data", "logs"], ["data", "logs"]],
      ["no mount", false, [], []],
    ])("%s", (_name, initialized, names, expected) => {
      expect(named(initialized, ...names)).toEqual(expected);
    });
  });

  test("a label that is not applied is reported", () => {
    const notes = labelNotes([
      { taskPath: "/data", selinuxLabel: "" },
      { taskPath: "/srv", selinuxLabel: "z" },
    ]);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain('The SELinux label "z" of the volume at /srv is not applied');
  });
});
