/** The limit of a task's changes to its root: on disk the task is killed, in memory the file system is full. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskImage } from "../../tools/images/images";
import { archiveOf, writeImage } from "../support/oci-image";
import { type Fixture, openFixture, shell, useFixture } from "./fixture";
import { runTask } from "./host-paths";
import { inside, sentence } from "./inside";

/** On a disk, because a tmpfs may not support an overlay's upper directory. */
const store = `/var/tmp/storage-limit-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store, gc: { image_delay: "1h" } },
);

let layouts = "";
let stored = "";
let disk = "";
beforeAll(async () => {
  layouts = await mkdtemp(join(tmpdir(), "layouts-"));
  disk = await diskImage();
  stored = await writeImage(layouts, "image", [{ archive: await archiveOf(bench.busybox) }]);
});
afterAll(async () => {
  expect(await readdir(join(store, "containers"))).toEqual([]);
  for (const path of [layouts, store]) await rm(path, { recursive: true });
});

const FILL = "dd if=/dev/zero of=/written bs=1M count=8 2>/dev/null; echo written; exec sleep 600";
const KILLED =
  /^The task was killed, because its changes to the root file system take 8(\.\d)? MiB: storage_limit allows 4 MiB\.$/;

test.each([
  ["a stored image", () => ({ image: stored, boot: false, storage_limit: "4MiB" })],
  // Made as that on a directory.
  ["a disk image", () => ({ image: disk, ephemeral: true, volatile: "no", storage_limit: "4MiB" })],
])("the changes to %s are on disk: the task is killed, with the reason in its exit and an event", async (_, config) => {
  const { signal, err, events } = await runTask(bench, shell("", FILL, config()));
  expect(signal).toBe(9);
  expect(err).toMatch(KILLED);
  expect(events.filter((event) => KILLED.test(event))).toHaveLength(1);
});

test("the limit applies to a recovered task", async () => {
  const script =
    "echo up; while ! test -e /go; do sleep 0.1; done; dd if=/dev/zero of=/written bs=1M count=8; exec sleep 600";
  const task = await bench.task(shell("", script, { image: stored, storage_limit: "4MiB" }));
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  await bench.client().execTask(task.id, ["/bin/touch", "/go"]);
  const { result, err } = await bench.client().waitTask(task.id);
  expect(result).toMatchObject({ signal: 9 });
  expect(err).toMatch(KILLED);
  await bench.client().destroyTask(task.id);
});

test("a task may write as much as its limit, and to its own directories more", async () => {
  const script =
    "dd if=/dev/zero of=/written bs=1M count=2 2>/dev/null; dd if=/dev/zero of=/alloc/data/written bs=1M count=8 2>/dev/null; sleep 7; echo kept";
  expect(await inside(bench, script, { image: stored, storage_limit: "4MiB" })).toBe("kept\n");
});

test("changes in memory: the file system has that size", async () => {
  const script = "dd if=/dev/zero of=/written bs=1M count=8 2>&1 | grep -o 'No space left on device'";
  const options = { volatile: "overlay", storage_limit: "4MiB" };
  expect(await inside(bench, script, options)).toBe("No space left on device\n");
});

test("the plugin's limit applies to a task without one", async () => {
  await using other = await openFixture({ image_store: store, gc: { image_delay: "1h" }, storage_limit: "4MiB" });
  const { err } = await other.finished(shell("", FILL, { image: stored }));
  expect(err).toMatch(KILLED);
  const options = { image: stored, storage_limit: "5MiB" };
  const task = await other.task(shell("", "true", options));
  expect(await sentence(other.start(task))).toContain("this client allows at most 4 MiB");
});

test("refused where changes reach the image", async () => {
  const task = await bench.task(shell(bench.busybox, "true", { volatile: "no", storage_limit: "1GB" }));
  expect(await sentence(bench.start(task))).toContain(
    'which the task changes itself: set ephemeral = true, or volatile = "overlay"',
  );
});
