/** The user of a task: "USER", "USER:GROUP" and numbers, as Docker resolves them, without any program of the image. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { archiveOf, writeImage } from "../support/oci-image";
import { copyTree, type Fixture, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/users-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store, gc: { image_delay: "1h" } },
);

let tree = "";
let stored = "";
beforeAll(async () => {
  tree = await copyTree(bench.busybox, `${store}-image`);
  await appendFile(join(tree, "etc/group"), "extra:x:2000:app\nmore:x:2001:\n");
  await rm(join(tree, "usr/bin/getent"), { force: true });
  await mkdir(store, { recursive: true });
  stored = await writeImage(`${store}-layout`, "image", [{ archive: await archiveOf(tree) }]);
});
afterAll(async () => {
  for (const path of [tree, `${store}-layout`, store]) await rm(path, { recursive: true });
});

const kinds = [
  ["a stored image", () => ({ image: stored })],
  ["a directory", () => ({ image: tree, volatile: "no" })],
  ["an ephemeral directory", () => ({ image: tree, volatile: "no", ephemeral: true })],
] as const;
const users = [
  ["app", "1000 1000 2000"],
  ["app:extra", "1000 2000"],
  ["app:2001", "1000 2001"],
  ["1000", "1000 1000 2000"],
  ["7:8", "7 8"],
  ["10001", "10001 0"],
  ["10001:", "10001 0"],
  ["0:2000", "0 2000"],
] as const;

describe.each(kinds)("of %s", (_kind, config) => {
  test.each(users)("%s", async (user, ids) => {
    // The set of the kernel has the user's own group too.
    const script = "echo $(id -u) $(id -G); grep ^Groups: /proc/self/status | tr '\\t' ' '";
    const groups = ids.split(" ").slice(1).join(" ");
    const expected = `${ids}\nGroups: ${groups} \n`;
    expect(await inside(bench, script, { ...config(), user })).toBe(expected);
    // The task's own user means the same.
    expect(await inside(bench, script, config(), { user })).toBe(expected);
  });

  test("of a command in the task", async () => {
    const command = ["/bin/sh", "-c", "trap 'exit 0' INT; echo up; while :; do sleep 0.1; done"];
    const task = await bench.started({
      config: { boot: false, network_veth: false, ...config(), user: "app:extra", command },
    });
    await task.stdout.waitFor("up");
    const { stdout } = await bench.client().execTask(task.id, ["/bin/sh", "-c", "echo $(id -u) $(id -G)"]);
    expect(Buffer.from(stdout).toString()).toBe("1000 2000\n");
    await bench.client().destroyTask(task.id, true);
  });

  test("the program runs in the user's home directory or the root, with its variables", async () => {
    expect(await inside(bench, "echo $HOME $USER $LOGNAME", { ...config(), user: "app" })).toBe("/home/app app app\n");
  });

  test("a group that does not exist is refused", async () => {
    const spec = {
      config: { boot: false, network_veth: false, ...config(), user: "app:nothing", command: ["/bin/true"] },
    };
    expect(await sentence(bench.start(await bench.task(spec)))).toContain('The user "app:nothing" does not exist');
  });
});
