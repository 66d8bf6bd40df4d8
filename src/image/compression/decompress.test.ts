import { expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Compression, compressionOf, type FileType, isOneOf, MAGIC_BYTES, typeOf } from "./decompress";

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
  const compression: Compression = type === "gzip" || type === "zstd" || type === "xz" ? type : "none";
  expect(compressionOf(start)).toBe(compression);
});

test("only the given types count", () => {
  expect(typeOf(gzipSync("text"), ["zstd", "xz"])).toBeUndefined();
});
