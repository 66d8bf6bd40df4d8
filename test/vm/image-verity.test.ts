/** Layers that fs-verity protects: this machine's kernel has it, that of the others does not. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { driverBinary } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { type Fixture, failure, openFixture, shell } from "../protocol/fixture";
import { archiveOf, writeImage } from "../support/oci-image";
import { archive, directory as directoryEntry, file } from "../support/tar-archive";

const MARK = "content that a block of the layer has";
let bench: Fixture;
let directory = "";
let disk = "";
let store = "";
let stored = "";
beforeAll(async () => {
  directory = await mkdtemp("/var/tmp/image-verity-");
  disk = join(directory, "disk.raw");
  const mountPoint = join(directory, "disk");
  await mkdir(mountPoint);
  await run(["truncate", "--size=128M", disk]);
  await run(["mkfs.ext4", "-q", "-b", "4096", "-O", "verity", disk]);
  await run(["mount", "-o", "loop", disk, mountPoint]);
  store = join(mountPoint, "images");
  bench = await openFixture({ image_store: store, gc: { image_delay: "1h", image_min_free: "1MB" } });
  const marked = archive([
    directoryEntry("srv"),
    file("srv/mark", MARK.repeat(300), { mode: 0o444 }),
    file("srv/empty", ""),
    file("srv/other", "other"),
  ]);
  stored = await writeImage(directory, "image", [{ archive: await archiveOf(bench.busybox) }, { archive: marked }]);
}, 120_000);
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await run(["umount", join(directory, "disk")]);
  await rm(directory, { recursive: true });
}, 120_000);

const finished = (script: string) => bench.finished(shell(stored, script, { volatile: undefined }));

/** Runs `images verify` on the store. */
async function verified(...more: readonly string[]) {
  const { stdout, code } = await attempt([driverBinary(), "images", "verify", "--store", store, ...more]);
  return { out: stdout, code };
}

/** The path of a file in the layer that has it. */
async function inLayer(name: string): Promise<string> {
  for (const layer of await readdir(join(store, "layers"))) {
    const path = join(store, "layers", layer, "fs", name);
    if (await Bun.file(path).exists()) return path;
  }
  throw new Error(`No layer has ${name}.`);
}

/** Changes one byte of the disk below the file system, where a text is for the last time, and drops what the kernel has in memory. */
async function damage(text: string): Promise<void> {
  await run(["sync"]);
  const position = (await readFile(disk)).lastIndexOf(text);
  expect(position).toBeGreaterThan(0);
  const opened = await open(disk, "r+");
  try {
    await opened.write("X", position);
  } finally {
    await opened.close();
  }
  await writeFile("/proc/sys/vm/drop_caches", "3");
}

test("a task reads protected files, and writes into copies of them", async () => {
  const script = "head -c 37 /srv/mark; cat /srv/empty; echo more >> /srv/other; cat /srv/other; wc -c < /srv/mark";
  expect(await finished(script)).toMatchObject({ code: 0, stdout: `${MARK}othermore\n${MARK.length * 300}\n` });
}, 120_000);

test("nothing writes into the files of a layer, and images verify does not read them", async () => {
  expect(await failure(writeFile(await inLayer("srv/other"), "changed"))).toContain("EPERM");
  const { out, code } = await verified();
  expect({ out, code }).toEqual({
    out: expect.stringMatching(/^All 2 layers are intact\. fs-verity protects \d+ of /),
    code: 0,
  });
  expect(await verified("--data")).toEqual({ code: 0, out: "All 2 layers are intact.\n" });
}, 120_000);

test("a damaged block is an error for the task that reads it, and images verify --data finds it", async () => {
  await damage(MARK);
  const { stdout, stderr } = await finished("cat /srv/mark > /dev/null; echo $?; cat /srv/other");
  expect(stdout).toBe("1\nother");
  expect(stderr).toMatch(/Input\/output error|I\/O error/);
  expect(await verified()).toMatchObject({ code: 0 });
  const { out, code } = await verified("--data");
  expect([code, out]).toEqual([1, expect.stringMatching(/^Layer sha256:\S+: \/srv\/mark cannot be read: EIO\.\n$/)]);
}, 120_000);
