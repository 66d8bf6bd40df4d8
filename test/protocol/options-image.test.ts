import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { cp, link, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { featuresOf } from "../../src/nspawn/features";
import { readNspawn } from "../../src/nspawn/installation";
import { driverBinary } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { diskImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { DriverClient } from "../support/driver-client";
import { startPlugin } from "../support/plugin-process";
import { prepareTask } from "../support/task";
import { copyTree, type Fixture, openFixture, shell } from "./fixture";
import { inside, sentence, underSystemd } from "./inside";

let before: HostState;
let bench: Fixture;
/** A tree that tests may write to. */
let tree: string;
beforeAll(async () => {
  before = await hostState();
  bench = await openFixture();
  tree = await copyTree(bench.busybox, join(bench.scratch, "tree"));
  // systemd-nspawn cannot create them in a read-only root that it makes itself.
  for (const name of ["alloc", "local", "secrets"]) await mkdir(join(tree, name));
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  expect(await leftovers(before)).toEqual([]);
}, 60_000);

/** For containers that must not change the owners of files, so that no test affects the next one. */
const asRoot = { user_namespacing: false };

describe("what is kept in the image", () => {
  test("every change, without volatile and ephemeral", async () => {
    const image = await copyTree(bench.busybox, join(bench.scratch, "written"));
    await inside(bench, "echo kept > /kept", { image, volatile: "no", ...asRoot });
    expect(await inside(bench, "cat /kept", { image, volatile: "no", ...asRoot })).toBe("kept\n");
    expect(await Bun.file(join(image, "kept")).text()).toBe("kept\n");
  });

  test("nothing: ephemeral and overlay", async () => {
    for (const more of [{ ephemeral: true, volatile: "no" }, { volatile: "overlay" }]) {
      const script = "echo x > /written; echo y > /var/written; cat /written /var/written";
      expect(await inside(bench, script, { image: tree, ...more, ...asRoot })).toBe("x\ny\n");
      expect(existsSync(join(tree, "written"))).toBe(false);
      expect(existsSync(join(tree, "var/written"))).toBe(false);
    }
  });

  test("a writable directory of the image over a read-only image, by a symlink in the image", async () => {
    const image = await copyTree(bench.busybox, join(bench.scratch, "with-data"));
    await mkdir(join(image, "real/data"), { recursive: true });
    await writeFile(join(image, "real/data/kept"), "kept\n");
    await symlink("/real/data", join(image, "data"));
    const script = "cat /real/data/kept; echo x > /real/data/written && cat /real/data/written";
    const config = { image, volatile: "no", read_only: true, overlay: ["+/data::/real/data"] };
    expect(await inside(bench, script, { ...config, ...asRoot })).toBe("kept\nx\n");
    // The upper directory of systemd-nspawn belongs to the host's root.
    expect(await inside(bench, `${script}; true`, config)).toBe("kept\n");
    expect(existsSync(join(image, "real/data/written"))).toBe(false);
  });

  test("read_only refuses to write", async () => {
    const script = "echo x > /x; echo $?; cat /etc/group | head -n 1";
    expect(await inside(bench, script, { image: tree, volatile: "no", read_only: true })).toBe("1\nroot:x:0:\n");
  });

  test("a read-only image with mounts below it needs mount points, and the error names the missing one", async () => {
    const image = await copyTree(bench.busybox, join(bench.scratch, "with-mount"));
    await mkdir(join(image, "data"));
    await run(["mount", "-t", "tmpfs", "tmpfs", join(image, "data")]);
    try {
      const task = await bench.task(shell(image, "true", { volatile: "no", read_only: true }));
      expect(await sentence(bench.start(task))).toContain("has no mount point /alloc");
    } finally {
      await run(["umount", join(image, "data")]);
    }
  });

  test('volatile = "state" keeps everything but /var, read-only', async () => {
    const script = "echo x > /var/x && cat /var/x; echo x > /x; echo $?; head -n 1 /etc/group";
    expect(await inside(bench, script, { image: tree, volatile: "state", ...asRoot })).toBe("x\n1\nroot:x:0:\n");
  });

  test('volatile = "yes" keeps only /usr, read-only', async () => {
    const script = "echo x > /x && cat /x; test -e /etc/group; echo $?; echo x > /usr/x; echo $?";
    expect(await inside(bench, script, { image: tree, volatile: "yes", ...asRoot })).toBe("x\n1\n1\n");
  });
});

describe("pivot_root", () => {
  let image: string;
  beforeAll(async () => {
    image = await copyTree(bench.busybox, join(bench.scratch, "outer"));
    const inner = await copyTree(bench.busybox, join(bench.scratch, "outer/deploy"));
    await Bun.write(join(inner, "which"), "inner\n");
    await Bun.write(join(image, "which"), "outer\n");
    await mkdir(join(inner, "old"));
  });

  test("makes a directory of the image the root", async () => {
    const more = { image, volatile: "no", ...asRoot };
    expect(await inside(bench, "cat /which", more)).toBe("outer\n");
    expect(await inside(bench, "cat /which", { ...more, pivot_root: "/deploy" })).toBe("inner\n");
  });

  // systemd-nspawn 252 cannot move the old root if the host's mounts are private.
  test.skipIf(!underSystemd)("mounts the old root where the job says, and changes owners", async () => {
    const old = { image, volatile: "no", ...asRoot, pivot_root: "/deploy:/old" };
    expect(await inside(bench, "cat /which /old/which", old)).toBe("inner\nouter\n");
    // The owners cannot be mapped in this case, so they are changed.
    expect(await inside(bench, "cat /which", { image, volatile: "no", pivot_root: "/deploy" })).toBe("inner\n");
  });
});

describe("sources of images", () => {
  test("a name that machinectl knows, as a directory", async () => {
    const name = `protocol-test-${process.pid}`;
    const place = join("/var/lib/machines", name);
    await mkdir(dirname(place), { recursive: true, mode: 0o700 });
    await copyTree(bench.busybox, place);
    try {
      await Bun.write(join(place, "which"), "machine\n");
      expect(await inside(bench, "cat /which", { image: name })).toBe("machine\n");
    } finally {
      await rm(place, { recursive: true });
    }
  });

  test("a path relative to the plugin directory, independent of the agent's working directory", async () => {
    const plugins = join(bench.scratch, "plugins");
    await mkdir(plugins);
    const binary = join(plugins, "nomad-driver-nspawn");
    await link(driverBinary(), binary).catch(() => cp(driverBinary(), binary));
    await Bun.write(join(await copyTree(bench.busybox, join(plugins, "images/tiny")), "which"), "relative\n");
    await using plugin = await startPlugin({ binary, cwd: "/var" });
    using client = new DriverClient(plugin.socket);
    await client.setConfig({ image_store: join(bench.scratch, "images") });
    for (const image of ["images/tiny", "./images/tiny", "../plugins/images/tiny/"]) {
      await using task = await prepareTask(shell(image, "cat /which"));
      await client.startTask(task.config);
      await client.waitTask(task.id);
      await client.destroyTask(task.id);
      expect(await task.stdout.ended()).toBe("relative\n");
    }
  });

  test("image_paths limits images, after symlinks are resolved", async () => {
    await using limited = await openFixture({ image_paths: [bench.scratch] });
    expect(await inside(limited, "echo in", { image: tree })).toBe("in\n");
    await run(["ln", "-s", bench.busybox, join(bench.scratch, "out")]);
    for (const image of [bench.busybox, join(bench.scratch, "out")]) {
      const task = await limited.task(shell(image, "true"));
      expect(await sentence(limited.start(task))).toMatch(/image_paths does not allow; allowed directories: /);
    }
  });
});

/** Whether this machine can attach a file as a block device; systemd-nspawn also needs udev for its images. */
async function attachLoop(file: string): Promise<string | undefined> {
  const { code, stdout } = await attempt(["losetup", "--find", "--show", "--read-only", file]);
  return code === 0 ? stdout.trim() : undefined;
}

describe("images that are block devices", () => {
  // The process supervisor is used on machines without systemd, and mostly without udev.
  const works = underSystemd || existsSync("/run/udev/control");

  test("a disk image file, which the task changes", async () => {
    const image = join(bench.scratch, "disk.raw");
    await cp(await diskImage(), image);
    const end = await bench.finished(shell(image, "head -n 1 /etc/group", { volatile: "no" }));
    if (works) expect(end).toMatchObject({ code: 0, stdout: "root:x:0:\n" });
    else {
      expect(end.code).toBe(1);
      expect(end.err).not.toBe("");
    }
  });

  test("a policy, a root hash and their files", async () => {
    const image = join(bench.scratch, "policy.raw");
    await cp(await diskImage(), image);
    const ended = (more: Readonly<Record<string, unknown>>) => bench.finished(shell(image, "true", more));
    const refused = async (more: Readonly<Record<string, unknown>>, of = image) =>
      sentence(bench.start(await bench.task(shell(of, "true", more))));
    const hash = "ab".repeat(32);
    const nspawn = await readNspawn();
    if (nspawn !== undefined && featuresOf(nspawn.version).imagePolicy) {
      expect((await ended({ image_policy: "root=unprotected:=ignore" })).code).toBe(0);
      expect((await ended({ image_policy: "root=verity:=ignore" })).code).not.toBe(0);
      // It has no hashes.
      expect((await ended({ root_hash: hash })).code).not.toBe(0);
    } else {
      expect(await refused({ root_hash: hash })).toContain("Option root_hash without verity_data needs");
      expect(await refused({ image_policy: "root=verity" })).toContain("Option image_policy needs systemd-nspawn 254");
    }
    // The hashes are of something else.
    expect((await ended({ root_hash: hash, verity_data: image })).code).not.toBe(0);
    expect(await refused({ verity_data: "/nowhere/hashes" })).toContain("/nowhere/hashes");
    expect(await refused({ verity_data: "/usr" })).toContain("is a directory: it must be a file");
    expect(await refused({ root_hash: hash, verity_data: image }, tree)).toContain(
      "Option root_hash is for disk images",
    );
  }, 60_000);

  test("a block device", async () => {
    const file = join(bench.scratch, "device.raw");
    await cp(await diskImage(), file);
    const device = await attachLoop(file);
    expect(device).toBeDefined();
    if (device === undefined) return;
    try {
      const end = await bench.finished(shell(device, "head -n 1 /etc/group"));
      expect(end).toMatchObject({ code: 0, stdout: "root:x:0:\n" });
    } finally {
      await run(["losetup", "--detach", device]);
    }
  });
});
