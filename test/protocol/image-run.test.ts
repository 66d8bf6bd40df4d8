/** What an image has in /run is in the container's /run, with its owners, and what a task writes there does not reach the image. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, chown, mkdir, mkdtemp, readdir, rm, symlink as symlinkTo, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readMounts } from "../../src/linux/mount";
import { archiveOf, writeImage } from "../support/oci-image";
import { archive, directory, file, symlink } from "../support/tar-archive";
import { copyTree, type Fixture, useFixture } from "./fixture";
import { inside } from "./inside";

/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/image-run-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store, gc: { image_delay: "1h" } },
);

const APP = { uid: 1000, gid: 1000 };
let scratch = "";
let stored = "";
let tree = "";
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "image-run-"));
  const added = [
    directory("run/", { mode: 0o755 }),
    directory("run/mysqld/", { ...APP, mode: 0o2750 }),
    file("run/mysqld/kept", "kept\n", APP),
    directory("run/host/"),
    file("run/host/of-image", ""),
    file("run/of-image", "file\n", { ...APP, mode: 0o640 }),
    symlink("run/link", "mysqld"),
    symlink("run/outside", "/etc/hostname"),
  ];
  const layers = [{ archive: await archiveOf(bench.busybox) }, { archive: archive(added) }];
  stored = await writeImage(scratch, "image", layers);
  tree = await copyTree(bench.busybox, `${store}-image`);
  await mkdir(join(tree, "run/mysqld"), { recursive: true });
  await writeFile(join(tree, "run/mysqld/kept"), "kept\n");
  await writeFile(join(tree, "run/of-image"), "file\n");
  for (const path of ["run/mysqld", "run/mysqld/kept", "run/of-image"]) await chown(join(tree, path), 1000, 1000);
  await chmod(join(tree, "run/mysqld"), 0o2750);
  await chmod(join(tree, "run/of-image"), 0o640);
  await symlinkTo("mysqld", join(tree, "run/link"));
  await symlinkTo("/etc/hostname", join(tree, "run/outside"));
});
afterAll(async () => {
  expect(await readdir(join(store, "containers"))).toEqual([]);
  expect(readMounts().filter(({ path }) => path.startsWith(store))).toEqual([]);
  for (const path of [store, tree, scratch]) await rm(path, { recursive: true });
});

/** As MariaDB's program does: its socket's directory is written by its own user. */
const SCRIPT = [
  "id -u",
  "stat -c '%u:%g %a' /run/mysqld /run/of-image",
  "cat /run/mysqld/kept /run/of-image",
  "echo x > /run/mysqld/written && cat /run/link/written",
  "ls /run/mysqld",
  "readlink /run/outside",
  "ls /run/host/of-image 2>/dev/null",
  "grep -c ' /run tmpfs' /proc/mounts",
].join("; ");
const EXPECTED = "1000\n1000:1000 2750\n1000:1000 640\nkept\nfile\nx\nkept\nwritten\n/etc/hostname\n1\n";

describe("the user of the program writes to its own directory in /run", () => {
  test.each([
    ["picked IDs", {}],
    ["fixed IDs", { private_users: "1310720:65536" }],
    ["the host's IDs", { user_namespacing: false }],
    ["a read-only root", { read_only: true }],
    ["PID 2", { process_two: true }],
  ])("of a stored image, with %s", async (_name, more) => {
    // Twice: the second task does not see what the first one wrote.
    for (const _ of [1, 2]) expect(await inside(bench, SCRIPT, { image: stored, user: "app", ...more })).toBe(EXPECTED);
  });

  test.each([
    ["ephemeral", { ephemeral: true, volatile: "no" }],
    ["volatile = overlay", { volatile: "overlay" }],
    ["read_only", { read_only: true, volatile: "no" }],
    ["volatile = state without user namespaces", { volatile: "state", user_namespacing: false }],
  ])("of a directory, with %s", async (_name, more) => {
    const script = `${SCRIPT.replace("id -u", "echo 1000").replace(/ \/run\/of-image;/, " /run/of-image;")}; rm /run/mysqld/written`;
    expect(await inside(bench, script, { image: tree, ...more })).toBe(EXPECTED);
    expect(await readdir(join(tree, "run/mysqld"))).toEqual(["kept"]);
  });
});

test("a mount of the job takes the place of what the image has, and may be below it", async () => {
  const look = (more: object) =>
    inside(bench, "ls /run/mysqld; ls /run/of-image 2>/dev/null; true", { image: stored, ...more });
  expect(await look({ tmpfs: ["/run/mysqld"] })).toBe("/run/of-image\n");
  expect(await look({ tmpfs: ["/run/mysqld/below"] })).toBe("below\nkept\n/run/of-image\n");
});

test("the task survives the plugin, with its /run, and everything is removed with it", async () => {
  const command = ["/bin/sh", "-c", "trap 'exit 0' INT; echo up; while :; do sleep 0.1; done"];
  const task = await bench.task({ config: { image: stored, network_veth: false, command } });
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  const { stdout } = await bench.client().execTask(task.id, ["/bin/cat", "/run/mysqld/kept"]);
  expect(Buffer.from(stdout).toString()).toBe("kept\n");
  await bench.client().destroyTask(task.id, true);
  expect(await readdir(join(store, "containers"))).toEqual([]);
});
