/** The machine ID of containers: each task's own, whatever the image has. */

import { describe, expect, test } from "bun:test";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { megabytes, type TaskSpec } from "../support/task";
import { copyTree, type Fixture, useFixture } from "./fixture";
import { inside } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const BOOT_MS = 60_000;
const OWN = "0123456789abcdef0123456789abcdef";
const SHOW = "cat /etc/machine-id; echo $container_uuid";

/** A directory that is the root itself, so that the container could change it. */
const PLAIN = { volatile: undefined, user_namespacing: false };

async function busybox(name: string, id: string | undefined): Promise<string> {
  const tree = await copyTree(bench.busybox, join(bench.scratch, name));
  if (id !== undefined) await writeFile(join(tree, "etc/machine-id"), id);
  return tree;
}

/** A copy of the Debian tree with this ID; cp, because the tree has device nodes. */
async function debian(name: string, id: string): Promise<string> {
  const tree = join(bench.scratch, name);
  await run(["cp", "-a", await debianImage(), tree]);
  await writeFile(join(tree, "etc/machine-id"), id);
  return tree;
}

/** Boots a system, and returns what a script prints once it is up. */
async function booted(image: string, script: string, more: TaskSpec["config"]) {
  const config = { image, network_veth: false, ...more };
  const task = await bench.started({ config, resources: megabytes(512) });
  await task.stdout.waitFor("Multi-User", BOOT_MS);
  const { stdout } = await bench.client().execTask(task.id, ["/bin/sh", "-c", script]);
  await bench.client().stopTask(task.id, { timeout: BOOT_MS });
  await bench.client().waitTask(task.id);
  return Buffer.from(stdout).toString();
}

describe("a command", () => {
  test.each([
    ["has its own ID in place of the image's", `${OWN}\n`],
    ["starts although the image's ID has dashes", "01234567-89ab-cdef-0123-456789abcdef\n"],
    ["starts although the image's ID is damaged", "damaged\n"],
  ])("%s, and the image stays as it is", async (name, id) => {
    const image = await busybox(name.replaceAll(" ", "-"), id);
    const [file = "", variable = ""] = (await inside(bench, SHOW, { ...PLAIN, image })).split("\n");
    expect(file).toMatch(/^[0-9a-f]{32}$/);
    expect(file).not.toBe(OWN);
    expect(variable.replaceAll("-", "")).toBe(file);
    expect(await readFile(join(image, "etc/machine-id"), "utf8")).toBe(id);
  });

  test("has the image's ID if the job asks for it", async () => {
    const image = await busybox("asked", `${OWN}\n`);
    expect(await inside(bench, SHOW, { ...PLAIN, image, machine_id: "image" })).toStartWith(`${OWN}\n`);
  });

  test("has no file if the image has none", async () => {
    const image = await busybox("none", undefined);
    const text = await inside(bench, "test ! -e /etc/machine-id; echo $? $container_uuid", { ...PLAIN, image });
    expect(text).toMatch(/^0 [0-9a-f-]{36}\n$/);
  });
});

describe("booted systems", () => {
  test.each([
    ["user namespaces", { volatile: "overlay" }],
    ["no user namespace", { volatile: "overlay", user_namespacing: false }],
  ])(
    "of one image have different IDs, and no unit fails, with %s",
    async (name, more) => {
      const image = await debian(`booted-${name.replaceAll(" ", "-")}`, `${OWN}\n`);
      const script = "cat /etc/machine-id; systemctl --failed --no-legend; systemctl is-system-running --wait";
      const both = await Promise.all([booted(image, script, more), booted(image, script, more)]);
      for (const text of both) expect(text).toMatch(/^[0-9a-f]{32}\nrunning\n$/);
      expect(both[0]).not.toBe(both[1]);
      for (const text of both) expect(text).not.toContain(OWN);
      await rm(image, { recursive: true });
    },
    180_000,
  );

  test("keep the image's file unchanged on a directory that is the root itself", async () => {
    const image = await debian("booted-plain", `${OWN}\n`);
    const script = "systemctl is-system-running --wait; cat /etc/machine-id";
    const [state, id] = (await booted(image, script, PLAIN)).split("\n");
    expect(state).toBe("running");
    expect(id).not.toBe(OWN);
    expect(await readFile(join(image, "etc/machine-id"), "utf8")).toBe(`${OWN}\n`);
    await rm(image, { recursive: true });
  }, 180_000);

  test.each([
    ["an empty one", ""],
    ["one for the first boot", "uninitialized\n"],
  ])(
    "take on the task's ID in an image with %s",
    async (name, id) => {
      const image = await debian(`booted-${name.replaceAll(" ", "-")}`, id);
      const script = "cat /etc/machine-id; tr '\\0' '\\n' < /proc/1/environ | grep ^container_uuid=";
      const [file, variable] = (await booted(image, script, { volatile: "overlay" })).split("\n");
      expect(variable?.replaceAll("-", "")).toBe(`container_uuid=${file}`);
      await rm(image, { recursive: true });
    },
    180_000,
  );
});

test("a task that is started again has the same ID, and each task another one", async () => {
  const image = await busybox("again", `${OWN}\n`);
  const command = ["/bin/sh", "-c", "cat /etc/machine-id >> /local/ids"];
  const ids: string[] = [];
  for (const name of ["web", "db"]) {
    const task = await bench.task({ name, config: { ...PLAIN, image, boot: false, network_veth: false, command } });
    for (let start = 0; start < 2; start += 1) {
      await bench.start(task);
      await bench.client().waitTask(task.id);
      await bench.client().destroyTask(task.id);
    }
    const [first = "", second = ""] = (await readFile(join(task.dirs.local, "ids"), "utf8")).split("\n");
    expect(second).toBe(first);
    ids.push(first);
  }
  expect(new Set([...ids, OWN]).size).toBe(3);
});
