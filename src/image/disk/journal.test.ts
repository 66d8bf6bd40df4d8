import { describe, expect, test } from "bun:test";
import type { ReadDevice } from "./device";
import { type JournalState, journalState } from "./journal";

/** A device with parts of content at positions, and zeros between them. */
function device(size: number, parts: Readonly<Record<number, Buffer>>): ReadDevice {
  const bytes = Buffer.alloc(size);
  for (const [position, part] of Object.entries(parts)) part.copy(bytes, Number(position));
  return async (position, length) => bytes.subarray(position, position + length);
}

function ext(incompatible: number): ReadDevice {
  const block = Buffer.alloc(1024);
  block.writeUInt16LE(0xef53, 0x38);
  block.writeUInt32LE(incompatible, 0x60);
  return device(4096, { 1024: block });
}

function btrfs(logRoot: bigint): ReadDevice {
  const block = Buffer.alloc(4096);
  block.write("_BHRfS_M", 0x40, "latin1");
  block.writeBigUInt64LE(logRoot, 0x60);
  return device(0x2_0000, { 65536: block });
}

const nothing = device(0x2_0000, {});
const cases: readonly [string, ReadDevice, JournalState][] = [
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
  ["ext4", device(100, {}), "unknown"],
  ["btrfs", device(100, {}), "unknown"],
  ["xfs", device(100, {}), "unknown"],
];

test.each(cases)("%s: %#", async (type, read, state) => {
  expect(await journalState(type, read)).toBe(state);
});

describe("the log of an XFS", () => {
  const BLOCKS = 10_000;
  /** In the second allocation group of 100 file system blocks of 4096 bytes, whose numbers have seven bits. */
  const START = (100 + 3) * 4096;

  interface Log {
    /** Of the blocks before the end. */
    readonly cycle: number;
    /** The first block of the older cycle. */
    readonly end: number;
    readonly last?: "unmount" | "other";
    /** A block after the end that is of the newer cycle already. */
    readonly early?: number;
    readonly external?: boolean;
    /** Bytes that a record may have. */
    readonly most?: number;
  }

  function xfs({ cycle, end, last = "unmount", early, external = false, most = 32_768 }: Log): ReadDevice {
    const head = Buffer.alloc(512);
    head.write("XFSB", 0, "latin1");
    head.writeUInt32BE(4096, 4);
    head.writeBigUInt64BE(external ? 0n : (1n << 7n) | 3n, 48);
    head.writeUInt32BE(100, 84);
    head.writeUInt32BE((BLOCKS * 512) / 4096, 96);
    head.writeUInt8(7, 124);
    const log = Buffer.alloc(BLOCKS * 512);
    for (let index = 0; index < BLOCKS; index += 1) {
      log.writeUInt32BE(index < end || index === early ? cycle : cycle - 1, index * 512);
    }
    const headers = Math.max(1, most / 32_768);
    const record = (end - headers - 1) * 512;
    if (record >= 0) {
      log.writeUInt32BE(0xfeed_babe, record);
      log.writeUInt32BE(cycle, record + 4);
      log.writeUInt32BE(2, record + 8);
      log.writeUInt32BE(512, record + 12);
      log.writeUInt32BE(last === "unmount" ? 1 : 7, record + 40);
      log.writeUInt32BE(most, record + 320);
      log.writeUInt8(last === "unmount" ? 0x20 : 0x01, record + headers * 512 + 9);
    }
    return device(START + log.length, { 0: head, [START]: log });
  }

  const logs: readonly (readonly [string, Log, JournalState])[] = [
    ["as mkfs.xfs leaves it", { cycle: 1, end: 2 }, "clean"],
    ["unmounted", { cycle: 1, end: 5000 }, "clean"],
    ["unmounted in a later cycle", { cycle: 9, end: 5000 }, "clean"],
    ["unmounted near the log's end", { cycle: 9, end: BLOCKS - 1 }, "clean"],
    ["with records of 256 KiB", { cycle: 3, end: 700, most: 262_144 }, "clean"],
    ["mounted", { cycle: 3, end: 700, last: "other" }, "dirty"],
    ["mounted again, and the first block of the next record is missing", { cycle: 3, end: 700, early: 701 }, "unknown"],
    ["and the last one that can be", { cycle: 3, end: 700, early: 700 + 4095 }, "unknown"],
    ["full", { cycle: 3, end: BLOCKS }, "unknown"],
    ["never written", { cycle: 0, end: BLOCKS }, "unknown"],
    ["without a record before the end", { cycle: 3, end: 1 }, "dirty"],
    ["on another device", { cycle: 3, end: 700, external: true }, "unknown"],
  ];
  test.each(logs)("%s", async (_name, log, state) => {
    expect(await journalState("xfs", xfs(log))).toBe(state);
  });
});
