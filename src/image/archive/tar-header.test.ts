import { describe, expect, test } from "bun:test";
import { file, headerBlock } from "../../../test/support/tar-archive";
import { UnpackError } from "../../lib/errors";
import { BLOCK, numberAt, parseHeader, textAt } from "./tar-header";

const NOT_A_HEADER = "it is not a tar archive, or is damaged (a header's checksum is wrong)";
const NOT_A_NUMBER = "a header has an invalid number";
const IMPOSSIBLE = "a header has a number out of range";

/** GNU's binary form of a number: its lowest bytes, below a first byte. */
function binary(first: number, fill: number, length: number, ...lowest: readonly number[]): Buffer {
  const field = Buffer.alloc(length, fill);
  field[0] = first;
  Buffer.from(lowest).copy(field, length - lowest.length);
  return field;
}

describe("numbers of a header", () => {
  test.each([
    ["octal, ended by a NUL", "0000644\0", 0o644],
    ["octal, ended by a space", "0000644 ", 0o644],
    ["octal, ended by a space and a NUL", "000644 \0", 0o644],
    ["octal after spaces", "   644 \0", 0o644],
    ["octal that fills its field", "77777777", 0o77777777],
    ["octal of 12 digits", "777777777777", 2 ** 36 - 1],
    ["octal, ended by a NUL with other bytes after it", "644\0junk", 0o644],
    ["NULs", "\0\0\0\0\0\0\0\0", 0],
    ["spaces", "        ", 0],
    ["a NUL before digits", "\x000644", 0],
  ])("%s", (_, text, value) => {
    expect(numberAt(Buffer.from(text, "latin1"), 0, text.length)).toBe(value);
  });

  test.each([
    ["8 bytes", binary(0x80, 0, 8, 5), 5],
    ["12 bytes", binary(0x80, 0, 12, 0x02, 0, 0, 0, 0), 2 ** 33],
    ["the largest exact one", binary(0x80, 0, 12, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), Number.MAX_SAFE_INTEGER],
  ])("binary of %s", (_, field, value) => {
    expect(numberAt(field, 0, field.length)).toBe(value);
    expect(numberAt(Buffer.concat([Buffer.alloc(3, 0x37), field, Buffer.alloc(3, 0x37)]), 3, field.length)).toBe(value);
  });

  test.each([
    ["octal", Buffer.from("-0000001"), -1],
    ["binary of 8 bytes", binary(0xff, 0xff, 8), -1],
    ["binary of 12 bytes", binary(0xff, 0xff, 12, 0xfe), -2],
    ["the smallest exact one", binary(0xff, 0xff, 12, 0xe0, 0, 0, 0, 0, 0, 0), -(2 ** 53)],
  ])("negative, %s, where that is allowed", (_, field, value) => {
    expect(numberAt(field, 0, field.length, true)).toBe(value);
    expect(() => numberAt(field, 0, field.length)).toThrow(new UnpackError(IMPOSSIBLE));
  });

  test.each([
    ["a digit that is not octal", "0000648\0", NOT_A_NUMBER],
    ["hexadecimal", "0x1f\0\0\0\0", NOT_A_NUMBER],
    ["a plus sign", "+0000001", NOT_A_NUMBER],
    ["a minus sign alone", "-\0\0\0\0\0\0\0", NOT_A_NUMBER],
    ["a space between digits", "64 4\0\0\0\0", NOT_A_NUMBER],
    ["a line end", "644\n\0\0\0\0", NOT_A_NUMBER],
    ["letters", "abcdefg\0", NOT_A_NUMBER],
    ["octal above what is exact", "7".repeat(24), IMPOSSIBLE],
  ])("refused: %s", (_, text, message) => {
    const field = Buffer.from(text, "latin1");
    expect(() => numberAt(field, 0, field.length, true)).toThrow(new UnpackError(message));
  });

  test.each([
    ["one above the largest exact one", binary(0x80, 0, 12, 0x20, 0, 0, 0, 0, 0, 0)],
    ["one below the smallest exact one", binary(0xff, 0xff, 12, 0xdf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
    ["only the sign bit", binary(0xc0, 0, 8)],
    ["the largest of 12 bytes", binary(0xbf, 0xff, 12)],
  ])("refused: binary, %s", (_, field) => {
    expect(() => numberAt(field, 0, field.length, true)).toThrow(new UnpackError(IMPOSSIBLE));
  });
});

test.each([
  ["up to its NUL", "name\0other", 10, "name"],
  ["up to the end of its field", "name-and-more", 4, "name"],
  ["without any NUL in the block", "name", 4, "name"],
  ["of no length", "\0name", 5, ""],
  ["with bytes that are not UTF-8", "a\xff\x80b\0", 5, "a\xff\x80b"],
])("text %s", (_, bytes, length, text) => {
  expect(textAt(Buffer.from(bytes, "latin1"), 0, length)).toBe(text);
});

describe("headers", () => {
  const plain = file("etc/motd", "hello", { mode: 0o4755, uid: 1000, gid: 100, mtime: 1_234_567_890 });
  const expected = {
    name: "etc/motd",
    mode: 0o4755,
    uid: 1000,
    gid: 100,
    size: 5,
    mtime: 1_234_567_890,
    type: "0",
    link: "",
    device: { major: 0, minor: 0 },
    gnu: false,
  };

  test("ustar", () => {
    expect(parseHeader(headerBlock(plain))).toEqual(expected);
  });

  test.each([
    ["a type flag of NUL is a regular file", { type: "\0" }, {}],
    ["a hard link", { type: "1", link: "etc/issue" }, { type: "1", link: "etc/issue" }],
    ["a device", { type: "3", device: [5, 1] as const }, { type: "3", device: { major: 5, minor: 1 } }],
    ["a name of 100 bytes", { name: "n".repeat(100) }, { name: "n".repeat(100) }],
    ["a name that is not UTF-8", { name: "caf\xe9" }, { name: "caf\xe9" }],
    ["a name that leads out of the image", { name: "../../etc/passwd" }, { name: "../../etc/passwd" }],
    ["an absolute name", { name: "/etc/passwd" }, { name: "/etc/passwd" }],
    ["bits of the mode that are not permissions", { mode: 0o100644 }, { mode: 0o644 }],
    ["a size in binary", { size: binary(0x80, 0, 12, 0x02, 0, 0, 0, 0) }, { size: 2 ** 33 }],
  ])("%s", (_, change, difference) => {
    expect(parseHeader(headerBlock({ ...plain, ...change }))).toEqual({ ...expected, ...difference });
  });

  test.each([
    ["ustar has a prefix", (header: Buffer) => header.write("usr/share", 345), { name: "usr/share/etc/motd" }],
    [
      "ustar has a prefix of 155 bytes",
      (header: Buffer) => header.fill("p", 345, 500),
      { name: `${"p".repeat(155)}/etc/motd` },
    ],
    [
      "GNU's format has none",
      (header: Buffer) => {
        header.write("ustar  \0", 257);
        header.write("usr/share", 345);
      },
      { gnu: true },
    ],
    [
      "the format before ustar has none, and no devices",
      (header: Buffer) => {
        header.fill(0, 257, 265);
        header.write("0000005\0", 329);
        header.write("0000007\0", 337);
        header.write("usr/share", 345);
      },
      {},
    ],
    [
      "nor is it damaged by what else may be in their place",
      (header: Buffer) => {
        header.fill(0, 257, 265);
        header.write("a comment that is no number", 329);
      },
      {},
    ],
    ["a time before 1970", (header: Buffer) => binary(0xff, 0xff, 12).copy(header, 136), { mtime: -1 }],
  ])("%s", (_, change, difference) => {
    expect(parseHeader(headerBlock(plain, change))).toEqual({ ...expected, ...difference });
  });

  test("a block of zeros ends an archive", () => {
    expect(parseHeader(Buffer.alloc(BLOCK))).toBeUndefined();
  });

  test("a checksum of signed bytes, as old programs wrote it, is accepted", () => {
    const header = headerBlock({ ...plain, name: "caf\xe9" });
    const unsigned = Number.parseInt(header.toString("latin1", 148, 154), 8);
    header.write(`${(unsigned - 256).toString(8).padStart(6, "0")}\0 `, 148);
    expect(parseHeader(header)?.name).toBe("caf\xe9");
    header.write(`${(unsigned - 1).toString(8).padStart(6, "0")}\0 `, 148);
    expect(() => parseHeader(header)).toThrow(new UnpackError(NOT_A_HEADER));
  });

  test.each([
    ["a checksum after spaces", (sum: string) => `  ${Number.parseInt(sum, 8).toString(8)}\0`.padEnd(8, "\0")],
    ["a checksum without a NUL", (sum: string) => `${sum}  `],
  ])("%s is accepted", (_, written) => {
    const header = headerBlock(plain);
    header.write(written(header.toString("latin1", 148, 154)), 148);
    expect(parseHeader(header)).toEqual(expected);
  });

  test.each([
    ["one bit differs", (header: Buffer) => header.writeUInt8(header.readUInt8(0) ^ 1, 0)],
    ["the checksum is one too high", (header: Buffer) => header.writeUInt8(header.readUInt8(153) ^ 1, 153)],
    ["the checksum is empty", (header: Buffer) => header.fill(0, 148, 156)],
    ["the checksum is spaces", (header: Buffer) => header.fill(" ", 148, 156)],
    ["the checksum is not octal", (header: Buffer) => header.write("009999\0 ", 148)],
    ["the checksum is negative", (header: Buffer) => header.write("-00001\0 ", 148)],
    ["it is another file", (header: Buffer) => header.fill("#!/bin/sh\n")],
    ["it is a block of 0xff", (header: Buffer) => header.fill(0xff)],
  ])("refused: %s", (_, change) => {
    const header = headerBlock(plain);
    change(header);
    expect(() => parseHeader(header)).toThrow(new UnpackError(NOT_A_HEADER));
  });

  test.each([
    ["a mode that is not octal", 100, "0009999\0", NOT_A_NUMBER],
    ["an owner that is not octal", 108, "root\0\0\0\0", NOT_A_NUMBER],
    ["a negative group", 116, "-000001\0", IMPOSSIBLE],
    ["a negative size", 124, "-0000000001\0", IMPOSSIBLE],
    ["a negative size in binary", 124, "\xff".repeat(12), IMPOSSIBLE],
    ["a size of 2^88", 124, `\x80\x01${"\0".repeat(10)}`, IMPOSSIBLE],
    ["a time that is not octal", 136, "yesterday\0\0\0", NOT_A_NUMBER],
    ["a device number that is not octal", 329, "null\0\0\0\0", NOT_A_NUMBER],
  ])("refused: %s", (_, at, text, message) => {
    const header = headerBlock(plain, (block) => block.write(text, at, "latin1"));
    expect(() => parseHeader(header)).toThrow(new UnpackError(message));
  });
});
