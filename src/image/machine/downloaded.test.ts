import { describe, expect, test } from "bun:test";
import { type DownloadRecord, fateOf, writerOf } from "./downloaded";

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
