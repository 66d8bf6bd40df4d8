import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import {
  type Compression,
  compressionOf,
  decompressor,
  type FileType,
  isOneOf,
  MAGIC_BYTES,
  typeOf,
} from "./decompress";

const TYPES: readonly FileType[] = ["gzip", "zstd", "xz", "bzip2", "qcow2"];
const skippable = (low: number) => [0x50 + low, 0x2a, 0x4d, 0x18, 0, 0];

test.each<[string, readonly number[], FileType | undefined]>([
  ["gzip", [...gzipSync("text")], "gzip"],
  ["gzip, cut", [0x1f], undefined],
  ["a zstd frame", [...zstdCompressSync("text")], "zstd"],
  ["the first skippable frame", skippable(0), "zstd"],
  ["a skippable frame in the middle", skippable(7), "zstd"],
  ["the last skippable frame", skippable(15), "zstd"],
  ["before the skippable frames", skippable(-1), undefined],
  ["after the skippable frames", skippable(16), undefined],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], "xz"],
  ["xz, cut", [0xfd, 0x37, 0x7a, 0x58, 0x5a], undefined],
  ["bzip2", [...Buffer.from("BZh91A")], "bzip2"],
  ["qcow2", [...Buffer.from("QFI\xfb\0\0", "latin1")], "qcow2"],
  ["text", [...Buffer.from("#!/bin")], undefined],
  ["nothing", [], undefined],
])("%s", (_name, bytes, type) => {
  const start = Uint8Array.from(bytes.slice(0, MAGIC_BYTES));
  expect(typeOf(start, TYPES)).toBe(type);
  expect(TYPES.filter((each) => isOneOf(start, each))).toEqual(type === undefined ? [] : [type]);
  const compression: Compression = type === "gzip" || type === "zstd" ? type : "none";
  expect(compressionOf(start)).toBe(compression);
});

test("only the given types count", () => {
  expect(typeOf(gzipSync("text"), ["zstd", "xz"])).toBeUndefined();
});

describe("decompressor", () => {
  // Some results fill a buffer, some do not.
  const content = Buffer.concat([Buffer.alloc(700_000, "text "), randomBytes(300_000), Buffer.alloc(128 * 1024)]);

  async function decompressed(compression: Compression, stored: Uint8Array, piece: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    const target = decompressor(compression, (bytes) => parts.push(Buffer.from(bytes)));
    for (let at = 0; at < stored.length; at += piece) await target.write(Buffer.from(stored.slice(at, at + piece)));
    await target.end();
    return Buffer.concat(parts);
  }

  const frame = (bytes: readonly number[] | Buffer) => (Buffer.isBuffer(bytes) ? bytes : Buffer.from([...bytes, 0, 0]));

  test.each<[Compression, Uint8Array, number]>([
    ["gzip", gzipSync(content), 1000],
    ["gzip", gzipSync(content), 64 * 1024],
    ["gzip", gzipSync(content), 10_000_000],
    ["gzip", Buffer.concat([gzipSync(content.subarray(0, 500_000)), gzipSync(content.subarray(500_000))]), 4096],
    ["zstd", zstdCompressSync(content), 1000],
    ["gzip", Buffer.concat([gzipSync(content), Buffer.alloc(20)]), 10_000_000],
    ["zstd", zstdCompressSync(content), 64 * 1024],
    ["zstd", Buffer.concat([skippable(1), zstdCompressSync(content), skippable(2)].map(frame)), 10_000_000],
    [
      "zstd",
      Buffer.concat([content.subarray(0, 1000), content.subarray(1000)].map((part) => zstdCompressSync(part))),
      700,
    ],
    ["none", content, 64 * 1024],
  ])("%s: everything, in order", async (compression, stored, piece) => {
    expect((await decompressed(compression, stored, piece)).equals(content)).toBe(true);
  });

  test("damaged and truncated content is refused", async () => {
    const damaged = Buffer.from(gzipSync(content));
    const middle = damaged.length >> 1;
    damaged.fill(0xff, middle, middle + 100);
    await expect(decompressed("gzip", damaged, 1000)).rejects.toThrow("its compressed data is damaged");
    await expect(decompressed("gzip", gzipSync(content).subarray(0, -5), 1000)).rejects.toThrow("damaged");
  });

  test("gzip data that something else follows is recognized, wherever the pieces end", async () => {
    const followed = Buffer.concat([gzipSync(content), Buffer.from("garbage")]);
    await expect(decompressed("gzip", followed, followed.length)).rejects.toThrow("followed by something else");
    await expect(decompressed("gzip", followed, followed.length - 7)).rejects.toThrow("followed by something else");
  });

  test("results always have the same memory", async () => {
    const buffers = new Set<ArrayBufferLike>();
    const target = decompressor("gzip", ({ buffer }) => buffers.add(buffer));
    const input = gzipSync(Buffer.alloc(5_000_000));
    await target.write(input);
    await target.end();
    expect(buffers.size).toBe(2);
  });

  test("what the consumer throws is thrown, and nothing is passed to it afterwards", async () => {
    let calls = 0;
    const target = decompressor("gzip", () => {
      calls += 1;
      throw new Error("the disk is full");
    });
    const stored = Buffer.from(gzipSync(content));
    const work = async () => {
      for (let at = 0; at < stored.length; at += 1000) await target.write(Buffer.from(stored.subarray(at, at + 1000)));
      await target.end();
    };
    await expect(work()).rejects.toThrow("the disk is full");
    expect(calls).toBe(1);
  });
});
