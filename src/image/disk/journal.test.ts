import { expect, test } from "bun:test";
import { HEAD_BYTES, journalState } from "./journal";

function ext(incompatible: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt16LE(0xef53, 0x438);
  head.writeUInt32LE(incompatible, 0x460);
  return head;
}

function btrfs(logRoot: bigint): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write("_BHRfS_M", 0x1_0040, "latin1");
  head.writeBigUInt64LE(logRoot, 0x1_0060);
  return head;
}

const nothing = Buffer.alloc(HEAD_BYTES);
const cases: readonly [string, Buffer, ReturnType<typeof journalState>][] = [
  // extents, 64bit, flex_bg and filetype, as mke2fs sets them.
  ["ext4", ext(0x2c2), "clean"],
  ["ext4", ext(0x2c6), "dirty"],
  ["ext3", ext(0x6), "dirty"],
  ["ext2", ext(0x2), "clean"],
  ["btrfs", btrfs(0n), "clean"],
  ["btrfs", btrfs(30_408_704n), "dirty"],
  ["squashfs", nothing, "clean"],
  ["erofs", nothing, "clean"],
  ["vfat", nothing, "clean"],
  ["xfs", nothing, "unknown"],
  ["f2fs", nothing, "unknown"],
  ["ext4", nothing, "unknown"],
  ["btrfs", nothing, "unknown"],
  ["ext4", ext(0x2c2).subarray(0, 2048), "unknown"],
  ["squashfs", Buffer.alloc(0), "clean"],
];

test.each(cases)("%s: %#", (type, head, state) => {
  expect(journalState(type, head)).toBe(state);
});
