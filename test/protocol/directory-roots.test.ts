/** Roots that the driver makes on directories: the directory is not copied, locked or changed, and nothing stays. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chown, lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { removeIfEmpty } from "../../src/lib/files";
import { readMounts } from "../../src/linux/mount";
import { featuresOf } from "../../src/nspawn/features";
import { readNspawn } from "../../src/nspawn/installation";
import { run } from "../../tools/command";
import { copyTree, type Fixture, openFixture, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/directory-roots-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store },
);

let image: string;
let untouched: string;
beforeAll(async () => {
  image = await copyTree(bench.busybox, join(`${store}-image`));
  await writeFile(join(image, "of-app"), "app\n");
  await chown(join(image, "of-app"), 1000, 1000);
  await mkdir(join(image, "tmp"), { recursive: true });
  await writeFile(join(image, "tmp/from-image"), "found\n");
  untouched = await listing(image);
});
afterAll(async () => {
  expect(await listing(image)).toBe(untouched);
  expect(await readdir(join(store, "containers"))).toEqual([]);
  expect(readMounts().filter(({ path }) => path.startsWith(store))).toEqual([]);
  await rm(store, { recursive: true });
  await rm(image, { recursive: true });
});

/** Every file of a tree with what could change. */
async function listing(tree: string): Promise<string> {
  return (await run(["find", tree, "-printf", "%P %y %m %U %G %s %T@ %C@\\n"])).stdout.split("\n").sort().join("\n");
}

const kinds: readonly (readonly [string, object])[] = [
  ["ephemeral", { ephemeral: true, volatile: "no" }],
  ["overlay", { volatile: "overlay" }],
  ["ephemeral and overlay", { ephemeral: true, volatile: "overlay" }],
];
const users: readonly (readonly [string, object])[] = [
  ["picked IDs", {}],
  ["fixed IDs", { private_users: "1310720:65536" }],
  ["the host's IDs", { user_namespacing: false }],
  ["identity", { private_users: "identity" }],
  ["kept owners", { private_users: "1310720:65536", private_users_ownership: "off" }],
];
const cases = kinds.flatMap(([kind, one]) => users.map(([ids, other]) => [kind, ids, { ...one, ...other }] as const));

describe("what the task sees and writes", () => {
  test.each(cases)("%s with %s", async (_kind, ids, more) => {
    const kept = ids === "kept owners";
    const script = [
      kept ? ":" : "echo x > /written; mkdir /var/new; echo y > /var/new/written; cat /written /var/new/written",
      "stat -c %u:%g /of-app /etc/passwd /",
      "grep -c ' / overlay' /proc/mounts",
    ].join("; ");
    const owners = kept ? "65534:65534\n65534:65534\n65534:65534\n" : "x\ny\n1000:1000\n0:0\n0:0\n";
    expect(await inside(bench, script, { image, ...more })).toBe(`${owners}1\n`);
    expect(existsSync(join(image, "written"))).toBe(false);
  });

  test.each([
    ["picked IDs", {}],
    ["fixed IDs", { private_users: "1310720:65536" }],
    ["the host's IDs", { user_namespacing: false }],
  ])("read_only with %s needs no mount points", async (_ids, more) => {
    const script =
      "echo x 2>/dev/null > /x; echo $?; stat -c %u /of-app; ls -d /alloc /local /secrets /made; echo t > /tmp/t";
    const options = { image, volatile: "no", read_only: true, tmpfs: ["/made"], ...more };
    expect(await inside(bench, script, options)).toBe("1\n1000\n/alloc\n/local\n/made\n/secrets\n");
  });

  test.each([
    ["state", "0\nof-app\n1\n"],
    ["yes", "0\n0\n"],
  ])("volatile = %j in a user namespace", async (volatile, expected) => {
    const script =
      "echo x > /var/x; echo $?; ls / | grep of-app; echo x 2>/dev/null > /new; echo $?; stat -c %u /usr | grep -v 0";
    const options = { image, volatile, command: ["/bin/sh", "-c", `${script}; true`] };
    expect(await inside(bench, "", options)).toBe(expected);
  });

  test("a directory whose files belong to a range of IDs", async () => {
    const shifted = await copyTree(bench.busybox, join(bench.scratch, "shifted"));
    await run(["chown", "-R", "--no-dereference", "1966080:1966080", shifted]);
    for (const more of [{}, { private_users: "1310720:65536" }, { private_users: "yes" }]) {
      const script = "stat -c %u:%g /etc/passwd /; echo x > /written; cat /written";
      const options = { image: shifted, ephemeral: true, volatile: "no", ...more };
      expect(await inside(bench, script, options)).toBe("0:0\n0:0\nx\n");
    }
    expect((await lstat(join(shifted, "etc/passwd"))).uid).toBe(1_966_080);
  });

  test("owners that the driver cannot map are changed by systemd-nspawn, if the job wants that", async () => {
    const own = await copyTree(bench.busybox, join(bench.scratch, "changed"));
    const options = { image: own, ephemeral: true, volatile: "no", private_users_ownership: "chown" };
    expect(await inside(bench, "stat -c %u /etc/passwd", options)).toBe("0\n");
  });

  test("mounts below the directory are hidden by ephemeral and shown with read_only, as by systemd-nspawn", async () => {
    const outer = await copyTree(bench.busybox, join(bench.scratch, "outer"));
    for (const name of ["data", "alloc", "local", "secrets"]) await mkdir(join(outer, name));
    await run(["mount", "-t", "tmpfs", "tmpfs", join(outer, "data")]);
    try {
      await writeFile(join(outer, "data/file"), "");
      const look = (more: object) =>
        inside(bench, "ls /data", { image: outer, volatile: "no", user_namespacing: false, ...more });
      expect(await look({ ephemeral: true })).toBe("");
      expect(await look({ read_only: true })).toBe("file\n");
    } finally {
      await run(["umount", join(outer, "data")]);
    }
  });
});

describe("/tmp", () => {
  test.each([
    [{ ephemeral: true, volatile: "no" }, "found\n1777\n0\n"],
    [{ volatile: "overlay" }, "found\n1777\n0\n"],
    [{ volatile: "overlay", tmp: "tmpfs" }, "1777\n1\n"],
  ])("with %j", async (more, expected) => {
    const script = "cat /tmp/from-image 2>/dev/null; stat -c %a /tmp; grep -c ' /tmp tmpfs' /proc/mounts; true";
    expect(await inside(bench, script, { image, ...more })).toBe(expected);
  });

  test("of a directory that the task changes", async () => {
    const own = await copyTree(bench.busybox, join(bench.scratch, "own"));
    await mkdir(join(own, "tmp"), { recursive: true });
    const script = "echo x > /tmp/left";
    await inside(bench, script, { image: own, volatile: "no" });
    expect(existsSync(join(own, "tmp/left"))).toBe(false);
    await inside(bench, script, { image: own, volatile: "no", tmp: "disk" });
    expect(existsSync(join(own, "tmp/left"))).toBe(true);
  });
});

const waiting = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done";

test.each(kinds)("%s: two tasks of one image run at once, and see only their own changes", async (_kind, more) => {
  const config = (name: string) => ({
    config: {
      image,
      boot: false,
      network_veth: false,
      ...more,
      command: ["/bin/sh", "-c", `touch /${name}; ls / | grep ^mark; ${waiting}`],
    },
  });
  const tasks = await Promise.all([bench.started(config("mark-1")), bench.started(config("mark-2"))]);
  for (const task of tasks) await task.stdout.waitFor("up");
  for (const task of tasks) {
    await bench.client().stopTask(task.id, { timeout: 10_000 });
    await bench.client().destroyTask(task.id);
  }
  expect(await Promise.all(tasks.map((task) => task.stdout.ended()))).toEqual(["mark-1\nup\n", "mark-2\nup\n"]);
  expect(await readdir(join(store, "containers"))).toEqual([]);
});

test.each(kinds)("%s: the task survives the plugin, and its root is removed by the next", async (_kind, more) => {
  const task = await bench.task({
    config: { image, boot: false, network_veth: false, ...more, command: ["/bin/sh", "-c", `echo x > /x; ${waiting}`] },
  });
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  const { stdout } = await bench.client().execTask(task.id, ["/bin/cat", "/x"]);
  expect(Buffer.from(stdout).toString()).toBe("x\n");
  await bench.client().destroyTask(task.id, true);
  expect(await readdir(join(store, "containers"))).toEqual([]);
});

test.each(kinds)("%s: stopped at once after its start", async (_kind, more) => {
  const config = { image, boot: false, network_veth: false, ...more, command: ["/bin/sh", "-c", waiting] };
  const task = await bench.started({ config });
  await bench.client().stopTask(task.id, { timeout: 0 });
  await bench.client().waitTask(task.id);
  await bench.client().destroyTask(task.id);
  expect(await readdir(join(store, "containers"))).toEqual([]);
});

test("what systemd-nspawn has to make itself: an image store that cannot be used, or inside the directory", async () => {
  const own = await copyTree(bench.busybox, join(bench.scratch, "around"));
  const file = join(bench.scratch, "no-directory");
  await writeFile(file, "");
  for (const place of [join(file, "store"), join(own, "srv/store")]) {
    await using other = await openFixture({ image_store: place });
    const script = "echo x > /written; cat /written; stat -c %u /etc/passwd";
    expect(await inside(other, script, { image: own, ephemeral: true, volatile: "no" })).toBe("x\n0\n");
    expect(existsSync(join(own, "written"))).toBe(false);
  }
});

test("a failed start leaves nothing", async () => {
  const config = { image, boot: false, network_veth: false, ephemeral: true, command: ["/bin/true"] };
  // A container's directory that cannot be made.
  const containers = join(store, "containers");
  await rm(containers, { recursive: true });
  await writeFile(containers, "");
  try {
    const task = await bench.task({ config });
    expect(await sentence(bench.start(task))).not.toBe("");
  } finally {
    await rm(containers);
    await mkdir(containers, { mode: 0o700 });
  }
  await removeIfEmpty("/run/nomad-driver-nspawn");
  expect(await readdir(containers)).toEqual([]);
});

describe("a stack of mounts (systemd.mstack(7))", () => {
  const stack = `${store}-stack.mstack`;
  const top = `${store}-top`;
  beforeAll(async () => {
    await mkdir(join(stack, "rw"), { recursive: true });
    await mkdir(join(top, "etc"), { recursive: true });
    await writeFile(join(top, "etc/mark"), "of the upper layer\n");
    await symlink(image, join(stack, "layer@0"));
    await symlink(top, join(stack, "layer@1"));
  });
  afterAll(async () => {
    for (const path of [stack, top]) await rm(path, { recursive: true });
  });
  const script = "cat /etc/mark /of-app; echo changed > /etc/mark";
  const host = { user_namespacing: false, volatile: "no" };
  const refusal = async (more: object) => {
    const config = { image: stack, boot: false, network_veth: false, command: ["/bin/true"], ...host, ...more };
    return await sentence(bench.start(await bench.task({ config })));
  };

  test("runs where systemd-nspawn can, and is refused by a sentence elsewhere", async () => {
    const { version = 0 } = (await readNspawn()) ?? {};
    if (!featuresOf(version).mountStacks) {
      expect(await refusal({})).toContain(`it needs systemd-nspawn 260, and this client has ${version}`);
      return;
    }
    expect(await inside(bench, script, { image: stack, ...host })).toBe("of the upper layer\napp\n");
    expect(await readFile(join(stack, "rw/data/etc/mark"), "utf8")).toBe("changed\n");
    const discarded = { image: stack, ...host, volatile: "overlay" };
    expect(await inside(bench, "cat /etc/mark; echo > /etc/mark", discarded)).toBe("changed\n");
    expect(await readFile(join(stack, "rw/data/etc/mark"), "utf8")).toBe("changed\n");
    expect(await refusal({ user_namespacing: true })).toContain("so it needs user_namespacing = false");
    expect(await refusal({ ephemeral: true })).toContain("(ephemeral = true)");
  });
});
