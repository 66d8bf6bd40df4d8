import { describe, expect, test } from "bun:test";
import { quoteName, UnpackError } from "../../lib/errors";
import { attributeIsSet, nameParts, whiteout } from "./names";

describe("names", () => {
  test.each([
    ["", []],
    [".", []],
    ["./", []],
    ["a", ["a"]],
    ["./a", ["a"]],
    ["a/", ["a"]],
    ["a/b/c", ["a", "b", "c"]],
    ["a//b/./c", ["a", "b", "c"]],
    ["/", []],
    ["/etc/passwd", ["etc", "passwd"]],
    ["//etc", ["etc"]],
    ["a/..", []],
    ["a/b/../c", ["a", "c"]],
    ["...", ["..."]],
    ["..a/b..", ["..a", "b.."]],
    [" ", [" "]],
    ["a\nb", ["a\nb"]],
    ["a\\b", ["a\\b"]],
    ["caf\xe9/\xff\xfe", ["caf\xe9", "\xff\xfe"]],
    ["n".repeat(255), ["n".repeat(255)]],
    [`${"n/".repeat(2047)}n`, Array.from({ length: 2048 }, () => "n")],
  ])("%p", (name, parts) => {
    expect(nameParts(name)).toEqual(parts);
  });

  test.each([
    ["..", 'an entry has the name "..", which leads out of the image'],
    ["../etc/passwd", 'an entry has the name "../etc/passwd", which leads out of the image'],
    ["a/../../b", 'an entry has the name "a/../../b", which leads out of the image'],
    ["./../a", 'an entry has the name "./../a", which leads out of the image'],
    ["/../etc", 'an entry has the name "/../etc", which leads out of the image'],
    ["a/../../\u001b[31m", 'an entry has the name "a/../../\\u001b[31m", which leads out of the image'],
    ["a\0b", "an entry has a NUL in its name"],
    ["\0", "an entry has a NUL in its name"],
    ["n".repeat(256), "an entry has a name of 256 bytes"],
    [`a/${"n".repeat(300)}/b`, "an entry has a name of 300 bytes"],
    ["n/".repeat(2048), "an entry has a name of 4096 bytes"],
  ])("refused: %p", (name, message) => {
    expect(() => nameParts(name)).toThrow(new UnpackError(message));
  });

  test("an error says what has the name", () => {
    expect(() => nameParts("../x", "a hard link")).toThrow(
      new UnpackError('a hard link has the name "../x", which leads out of the image'),
    );
  });
});

describe("whiteouts", () => {
  test.each([
    ["a", { kind: "none" }],
    ["wh.a", { kind: "none" }],
    ["a.wh.b", { kind: "none" }],
    [".wh", { kind: "none" }],
    [".wh.a", { kind: "hides", name: "a" }],
    [".wh.caf\xe9", { kind: "hides", name: "caf\xe9" }],
    [".wh..a", { kind: "hides", name: ".a" }],
    [".wh....", { kind: "hides", name: "..." }],
    [".wh..wh..opq", { kind: "opaque" }],
    [".wh..wh.plnk", { kind: "ignored" }],
    [".wh..wh..opq2", { kind: "ignored" }],
    [".wh..wh.", { kind: "ignored" }],
  ])("%p", (name, meaning) => {
    expect<unknown>(whiteout(name)).toEqual(meaning);
  });

  test.each([
    [".wh.", 'it has a whiteout of "", which is not a valid name'],
    [".wh..", 'it has a whiteout of ".", which is not a valid name'],
    [".wh...", 'it has a whiteout of "..", which is not a valid name'],
  ])("refused: %p", (name, message) => {
    expect(() => whiteout(name)).toThrow(new UnpackError(message));
  });
});

describe("extended attributes", () => {
  test.each([
    ["security.capability", true],
    ["user.a", true],
    ["user.", true],
    ["system.posix_acl_access", true],
    ["system.posix_acl_default", true],
    ["security.selinux", false],
    ["security.ima", false],
    ["security.capability2", false],
    ["trusted.a", false],
    ["trusted.overlay.opaque", false],
    ["user.overlay.metacopy", false],
    ["user.overlay", true],
    ["system.nfs4_acl", false],
    ["", false],
  ])("%p is set: %p", (name, set) => {
    expect(attributeIsSet(name)).toBe(set);
  });
});

test.each([
  ["plain", "a/b", '"a/b"'],
  ["UTF-8, kept as bytes", "caf\xc3\xa9", '"café"'],
  ["not UTF-8", "caf\xe9", '"caf\ufffd"'],
  ["what a terminal would act on", "\u001b[2J\r\n", '"\\u001b[2J\\r\\n"'],
  ["quotes", 'a"b', '"a\\"b"'],
  ["200 characters", "n".repeat(200), `"${"n".repeat(200)}"`],
  ["more than that", "n".repeat(201), `"${"n".repeat(200)}…"`],
])("a name in an error: %s", (_, name, text) => {
  expect(quoteName(name)).toBe(text);
});
