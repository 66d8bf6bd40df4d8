import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ArchiveEntry, archive, directory, file, symlink } from "../../../test/support/tar-archive";
import { readAt } from "../../linux/read-range";
import { findMember, indexTar } from "./tar-index";

const top = mkdtempSync(join(tmpdir(), "tar-index-"));
afterAll(() => rmSync(top, { recursive: true }));

/** The content of a member; undefined if there is none. */
async function content(bytes: Uint8Array, name: string): Promise<string | undefined> {
  const path = join(top, "archive");
  writeFileSync(path, bytes);
  const fd = openSync(path, "r");
  try {
    const found = findMember(await indexTar(fd, bytes.length), name);
    return found === undefined ? undefined : (await readAt(fd, found.offset, found.size)).toString();
  } finally {
    closeSync(fd);
  }
}

const long = `${"long/".repeat(40)}name`;
const cases: readonly (readonly [string, readonly ArchiveEntry[], string, string | undefined])[] = [
  ["a file", [file("a", "1")], "a", "1"],
  ["one after others", [file("x", "x".repeat(1000)), directory("d/"), file("d/a", "2")], "d/a", "2"],
  ["./ before the member's name", [file("./d/a", "3")], "d/a", "3"],
  ["./ before the asked name", [file("d/a", "3")], "./d/a", "3"],
  ["an absolute name", [file("/d/a", "4")], "d/a", "4"],
  ["a name that leads out stays inside", [file("../../a", "4")], "a", "4"],
  ["an empty file", [file("a"), file("b", "b")], "a", ""],
  ["the last of a name", [file("a", "old"), file("a", "new")], "a", "new"],
  ["a directory", [directory("a/")], "a", undefined],
  ["nothing", [file("a")], "b", undefined],
  ["a symlink beside it", [file("1/layer.tar", "L"), symlink("2/layer.tar", "../1/layer.tar")], "2/layer.tar", "L"],
  ["a hard link", [file("1/a", "H"), { name: "b", type: "1", link: "1/a" }], "b", "H"],
  ["a symlink out", [symlink("a", "../../etc/passwd")], "a", undefined],
  ["links in a circle", [symlink("a", "b"), symlink("b", "a")], "a", undefined],
  ["a long name of pax", [file("short", "P", { pax: { path: long } })], long, "P"],
  ["a long name of GNU", [{ name: "././@LongLink", type: "L", data: `${long}\0` }, file("short", "G")], long, "G"],
  ["the size of pax", [file("a", "123", { pax: { size: "3" }, size: 3 }), file("b", "B")], "b", "B"],
  ["a name beyond ASCII", [file(Buffer.from("é", "utf8").toString("latin1"), "U")], "é", "U"],
  ["a device is no file", [{ name: "a", type: "3", device: [1, 3] }], "a", undefined],
];
test.each(cases)("%s", async (_, entries, name, expected) => {
  expect(await content(archive(entries), name)).toBe(expected);
});

test.each([
  ["no archive", Buffer.alloc(1024, "x"), /not a tar archive/],
  ["a short file", Buffer.from("{}"), /not a tar archive/],
  ["cut off in a header", archive([file("a", "1")]).subarray(0, 1300), /truncated/],
  ["cut off in data", archive([file("a", "x".repeat(2000))]).subarray(0, 1024), /truncated/],
  ["too many members", archive(Array.from({ length: 20_001 }, (_, index) => file(`${index}`))), /more than 20000/],
] as const)("refused: %s", async (_, bytes, text) => {
  await expect(content(bytes, "a")).rejects.toThrow(text);
});
