import { describe, expect, test } from "bun:test";
import { paxRecords } from "../../../test/support/tar-archive";
import { UnpackError } from "../../lib/errors";
import { parsePax, paxOverrides } from "./pax";

const DAMAGED = "an extended header is damaged";

describe("records of an extended header", () => {
  test.each([
    ["none", "", []],
    ["one", "6 a=b\n", [["a", "b"]]],
    [
      "two",
      "6 a=b\n7 cd=e\n",
      [
        ["a", "b"],
        ["cd", "e"],
      ],
    ],
    ["an equals sign in a value", "8 a=b=c\n", [["a", "b=c"]]],
    ["a line end in a value", "8 a=b\nc\n", [["a", "b\nc"]]],
    ["a space in keyword and value", "11 a b=c d\n", [["a b", "c d"]]],
    ["an empty value", "5 a=\n", [["a", ""]]],
    ["a keyword twice: the last one counts", "6 a=b\n6 a=c\n", [["a", "c"]]],
    ["NULs after the last one", "6 a=b\n\0\0\0", [["a", "b"]]],
    ["nothing but NULs", "\0\0\0", []],
    ["a value with a NUL", "8 a=b\0c\n", [["a", "b\0c"]]],
  ] as const)("%s", (_, text, records) => {
    const parsed = [...parsePax(Buffer.from(text, "latin1"))];
    expect(parsed.map(([key, value]) => [key, value.toString("latin1")])).toEqual(records.map((record) => [...record]));
  });

  test("values stay bytes, and keywords are UTF-8", () => {
    const capability = Buffer.from([1, 0, 0, 2, 0x80, 0, 0, 0, 0xff, 0xfe]);
    const records = parsePax(paxRecords({ "SCHILY.xattr.security.capability": capability, ä: "x" }));
    expect(records.get("SCHILY.xattr.security.capability")).toEqual(capability);
    expect(records.get("ä")?.toString()).toBe("x");
  });

  test.each([
    ["a length of zero", "0 a=b\n"],
    ["a length that is too short", "5 a=b\n"],
    ["a length that is too long", "7 a=b\n"],
    ["a length far beyond the end", "9999999999 a=b\n"],
    ["a length of more than ten digits", "00000000006 a=b\n"],
    ["a negative length", "-6 a=b\n"],
    ["a length in hexadecimal", "0x6 a=b\n"],
    ["no length", " a=b\n"],
    ["a space before the length", " 6 a=b\n"],
    ["no space", "6a=b\n"],
    ["no equals sign", "4 a\n"],
    ["an equals sign in the next record alone", "4 a\n6 b=c\n"],
    ["no line end", "6 a=bc"],
    ["a record that is cut off", "6 a=b\n6 c="],
    ["a second record with a wrong length", "6 a=b\n9 c=d\n"],
    ["text", "hello\n"],
  ])("refused: %s", (_, text) => {
    expect(() => parsePax(Buffer.from(text))).toThrow(new UnpackError(DAMAGED));
  });
});

describe("what the records replace in a header", () => {
  const overrides = (records: Readonly<Record<string, string | Uint8Array>>) =>
    paxOverrides(parsePax(paxRecords(records)));

  test.each([
    ["nothing", {}, {}],
    ["keywords that are not used", { comment: "c", charset: "UTF-8", atime: "1", uname: "root" }, {}],
    ["a path", { path: "long/name" }, { path: "long/name" }],
    ["a path in UTF-8, as bytes", { path: "ä" }, { path: "\xc3\xa4" }],
    ["a path that is not UTF-8", { path: Buffer.from([0x61, 0xff]) }, { path: "a\xff" }],
    ["a path with a NUL, which the names' check refuses", { path: "a\0b" }, { path: "a\0b" }],
    ["a path that leads out, which the names' check refuses", { path: "../x" }, { path: "../x" }],
    ["a link", { linkpath: "to" }, { link: "to" }],
    ["a size above what octal digits can say", { size: "68719476736" }, { size: 2 ** 36 }],
    ["a size with leading zeros", { size: "007" }, { size: 7 }],
    ["the largest exact size", { size: "9007199254740991" }, { size: Number.MAX_SAFE_INTEGER }],
    ["owners", { uid: "100000", gid: "0" }, { uid: 100_000, gid: 0 }],
    ["a time with a fraction", { mtime: "1700000000.25" }, { mtime: 1_700_000_000.25 }],
    ["a time before 1970", { mtime: "-1.5" }, { mtime: -1.5 }],
    ["the name of a sparse file before the path", { path: "GNUSparseFile.1/n", "GNU.sparse.name": "n" }, { path: "n" }],
    ["empty values, which replace nothing", { path: "", linkpath: "", size: "", uid: "", gid: "", mtime: "" }, {}],
  ])("%s", (_, records, replaced) => {
    expect(overrides(records)).toEqual({ ...replaced, xattrs: new Map() });
  });

  test("extended attributes, by name, as bytes", () => {
    const value = Buffer.from([0, 0x80, 0xff]);
    const records = { "SCHILY.xattr.user.a=b": value, "SCHILY.xattr.user.empty": "", "LIBARCHIVE.xattr.user.c": "x" };
    // A keyword ends at its first equals sign.
    expect(overrides(records).xattrs).toEqual(
      new Map([
        ["user.a", Buffer.concat([Buffer.from("b="), value])],
        ["user.empty", Buffer.alloc(0)],
      ]),
    );
  });

  test.each([
    ["size", "-1"],
    ["size", "1.5"],
    ["size", "1e3"],
    ["size", "0x10"],
    ["size", " 1"],
    ["size", "9007199254740992"],
    ["uid", "root"],
    ["uid", "99999999999999999999"],
    ["gid", "+1"],
    ["mtime", "yesterday"],
    ["mtime", "NaN"],
    ["mtime", "0x10"],
    ["mtime", "1e3"],
    ["mtime", " 1"],
    ["mtime", "Infinity"],
    ["mtime", "9007199254740991"],
    ["mtime", "-1e300"],
  ])("refused: %s=%s", (key, value) => {
    expect(() => overrides({ [key]: value })).toThrow(
      new UnpackError(`an extended header has an invalid number as ${key}`),
    );
  });
});
