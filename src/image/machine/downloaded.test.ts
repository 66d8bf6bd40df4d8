import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DownloadedImages, type DownloadRecord, fateOf, writerOf } from "./downloaded";
import { MADE } from "./pool";

const identity = { device: "1", inode: "2", created: "3", changed: "4" };
const record: DownloadRecord = { version: 1, name: "a", type: "raw", identity, beside: [] };
const tree: DownloadRecord = { ...record, type: "tar", identity: { ...identity, changed: "" } };
const SINCE = 1000;
const unused = { record, found: identity, inUse: false, lastUse: SINCE, writerExists: false };

describe("fateOf", () => {
  test.each([
    ["unused for long enough", {}, "remove"],
    ["used since", { lastUse: SINCE + 1 }, "keep"],
    ["in use", { inUse: true }, "used"],
    ["gone", { found: undefined }, "forget"],
    ["another file of that name", { found: { ...identity, inode: "9" } }, "forget"],
    ["a file with the same inode that was made later", { found: { ...identity, created: "9" } }, "forget"],
    ["a disk image that was changed", { found: { ...identity, changed: "9" } }, "forget"],
    ["replaced while in use", { inUse: true, found: { ...identity, inode: "9" } }, "forget"],
    [
      "a disk image that a task wrote into",
      { record: { ...record, writer: "" }, found: { ...identity, changed: "9" } },
      "keep",
    ],
    ["a tree that a task wrote into", { record: { ...tree, writer: "" }, lastUse: 0 }, "keep"],
    [
      "one of an allocation that Nomad still has",
      { record: { ...tree, writer: "/a" }, writerExists: true, lastUse: 0 },
      "keep",
    ],
    ["one of an allocation that is gone", { record: { ...tree, writer: "/a" }, lastUse: SINCE + 1 }, "remove"],
    ["one of such an allocation, in use", { record: { ...tree, writer: "/a" }, inUse: true }, "used"],
  ] as const)("%s: %p is %s", (_, change, expected) => {
    expect(fateOf({ ...unused, ...change }, SINCE)).toBe(expected);
  });
});

const ALLOCATION = "/var/lib/nomad/alloc/0a1b2c3d-1111-2222-3333-444455556666";

test.each([
  ["web-0a1b2c3d-1111-2222-3333-444455556666", ALLOCATION, ALLOCATION],
  ["web-0a1b2c3d", ALLOCATION, ALLOCATION],
  ["web", ALLOCATION, ""],
  ["web-99999999", ALLOCATION, ""],
  ["web-short", "/var/lib/nomad/alloc/short", ""],
  ["", "", ""],
])("the writer of image %p, in allocation %p", (image, allocation, expected) => {
  expect(writerOf(image, allocation)).toBe(expected);
});

describe("the records of a directory", () => {
  let top = "";
  beforeEach(async () => {
    top = await mkdtemp(join(tmpdir(), "downloads-"));
    await mkdir(join(top, "machines"));
    await mkdir(join(top, "scratch", MADE), { recursive: true });
  });
  afterEach(() => rm(top, { recursive: true }));
  const open = () =>
    new DownloadedImages({
      records: join(top, "records"),
      machines: join(top, "machines"),
      locks: join(top, "locks"),
      isUsed: async () => false,
    });

  test("list images that exist, and are removed when they are unused", async () => {
    const images = open();
    await images.record({ name: "debian", type: "tar" }, join(top, "scratch"));
    expect(await images.list()).toEqual([]);
    const path = join(top, "machines/debian");
    await rename(join(top, "scratch", MADE), path);
    expect(await images.list()).toMatchObject([{ name: "debian", path, used: false, written: false }]);
    expect(await images.collect(Date.now() + 1000)).toEqual({ removed: ["debian"], left: 0 });
    expect([await images.list(), await readdir(join(top, "machines"))]).toEqual([[], []]);
  });

  test("of killed writers are removed, once no writer can still be at work", async () => {
    await mkdir(join(top, "records"));
    const names = ["old", "young"].map((name) => `${name}.json.${crypto.randomUUID()}.new`);
    for (const name of names) await writeFile(join(top, "records", name), "{");
    const hour = new Date(Date.now() - 3_600_000);
    await utimes(join(top, "records", names[0] ?? ""), hour, hour);
    await open().collect(Date.now());
    expect(await readdir(join(top, "records"))).toEqual([names[1] ?? ""]);
  });
});
