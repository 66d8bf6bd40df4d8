/** Image stores on unusual file systems, and garbage collection. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../tools/command";
import { busyboxImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { archiveOf, writeImage } from "../support/oci-image";
import { archive, file } from "../support/tar-archive";
import { openFixture } from "./fixture";
import { type HostPaths, runTask, useHostPaths } from "./host-paths";
import { sentence } from "./inside";

let before: HostState;
let places: HostPaths;
let layouts = "";
let first = "";
let second = "";
useHostPaths((opened) => {
  places = opened;
});
beforeAll(async () => {
  before = await hostState();
  layouts = await mkdtemp(join(tmpdir(), "layouts-"));
  const base = { archive: await archiveOf(await busyboxImage()) };
  first = await writeImage(layouts, "first", [base]);
  second = await writeImage(layouts, "second", [base, { archive: archive([file("more", "more")]) }]);
});
afterAll(async () => {
  await rm(layouts, { recursive: true, force: true });
  expect(await leftovers(before)).toEqual([]);
});

const task = (image: string, script: string, more: object = {}) => ({
  config: { image, network_veth: false, command: ["/bin/sh", "-c", script], ...more },
});

async function becomes(look: () => Promise<unknown>, expected: unknown): Promise<void> {
  for (const deadline = performance.now() + 15_000; performance.now() < deadline; await Bun.sleep(50)) {
    if (JSON.stringify(await look()) === JSON.stringify(expected)) return;
  }
  expect(await look()).toEqual(expected);
}

test("if owners cannot be mapped they are changed, which a task event reports, or the start is refused", async () => {
  const store = await places.mount("ramfs", join(places.directory, "ramfs"));
  await using bench = await openFixture({ image_store: store, gc: { image_min_free: "0" } });
  const { code, stdout, events } = await runTask(
    bench,
    task(first, "stat -c %u:%g / /home/app; cut -c 1-11 /proc/self/uid_map"),
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: "0:0\n1000:1000\n         0 \n" });
  expect(events.join("\n")).toContain("The image's files were copied to change their owners");
  for (const more of [{ private_users_ownership: "map" }, { read_only: true }]) {
    const refused = await bench.task(task(first, "true", more));
    expect(await sentence(bench.start(refused))).toMatch(
      /cannot map the owners of a mount .*\. Set user_namespacing = false/,
    );
  }
  expect(await readdir(join(store, "containers"))).toEqual([]);
});

test("an image is removed after it was unused for image_delay, and not before", async () => {
  const store = join(places.directory, "collected");
  await using bench = await openFixture({ image_store: store, gc: { image_delay: "1s" } });
  const images = () => readdir(join(store, "images"));
  const running = await bench.started(task(first, "echo up; while :; do sleep 0.1; done"));
  await running.stdout.waitFor("up");
  const used = await images();
  expect(used).toHaveLength(1);
  await bench.finished(task(second, "cat /more"));
  expect(await images()).toHaveLength(2);
  // The first image was asked for earlier: the run that removes the second one left it alone.
  await becomes(images, used);
  // A task uses this image, also from the view of a plugin that did not start the task.
  await bench.replacePlugin();
  await bench.finished(task(second, "true"));
  await becomes(images, used);
  const { result } = await bench
    .client()
    .execTask(running.id, ["/bin/true"], 5000)
    .catch(() => ({ result: undefined }));
  expect(result).toBeUndefined();
  expect(existsSync(join(store, "layers"))).toBe(true);
});

const large = () =>
  writeImage(layouts, "large", [
    { archive: archive([file("zeros", "", { data: Buffer.alloc(64 * 1024 * 1024) })]), kind: "zstd" },
  ]);

test("with too little space on the disk, unused images are removed at once, and a pull that would need more fails", async () => {
  const store = await places.mount("tmpfs", join(places.directory, "small"));
  {
    await using bench = await openFixture({ image_store: store, gc: { image_delay: "1h", image_min_free: "0" } });
    expect((await bench.finished(task(first, "true"))).code).toBe(0);
  }
  await using bench = await openFixture({ image_store: store, gc: { image_delay: "1h", image_min_free: "1TB" } });
  // The size of a layer does not matter.
  for (const image of [await large(), second]) {
    const refused = await bench.task(task(image, "true"));
    expect(await sentence(bench.start(refused))).toContain("The image store's disk is full");
    expect(await readdir(join(store, "images"))).toEqual([]);
    expect(await readdir(join(store, "tmp"))).toEqual([]);
  }
});

test("a disk that runs out of space or of inodes in the middle of a layer", async () => {
  const store = await places.mount("tmpfs", join(places.directory, "full"));
  await using bench = await openFixture({ image_store: store, gc: { image_delay: "1h", image_min_free: "0" } });
  expect((await bench.finished(task(first, "true"))).code).toBe(0);
  const left = async () => [(await readdir(join(store, "images"))).length, await readdir(join(store, "tmp"))];
  const { files, ffree } = await statfs(store);
  // The lock of a layer that is being unpacked, its directory and its list, and then no more inodes.
  const few = `size=1G,nr_inodes=${files - ffree + 4}`;
  for (const limit of ["size=16M", few]) {
    await run(["mount", "-o", `remount,${limit}`, store]);
    const image = limit === few ? second : await large();
    const refused = await bench.task(task(image, "true"));
    expect(await sentence(bench.start(refused))).toContain("The image store's disk is full");
    expect(await left()).toEqual([1, []]);
  }
  // With free space again everything works as before.
  await run(["mount", "-o", "remount,size=1G,nr_inodes=100k", store]);
  expect((await bench.finished(task(first, "true"))).code).toBe(0);
  expect((await bench.finished(task(second, "cat /more"))).stdout).toBe("more");
  expect(await readdir(join(store, "containers"))).toEqual([]);
});
