import { expect, test } from "bun:test";
import type { TarEntry } from "./tar-header";
import { TarReader } from "./tar-reader";
import { archiveEnd, entryHeader, padding, type WrittenEntry } from "./tar-writer";

const PLAIN: WrittenEntry = {
  ...{ kind: "file", name: "a/b", link: "", mode: 0o4755, uid: 1, gid: 2, mtime: 1_700_000_000, size: 0 },
  xattrs: new Map(),
};

/** What the reader makes of an archive of one entry with some data. */
function reread(
  entry: WrittenEntry,
  data = Buffer.alloc(0),
): { readonly entry: TarEntry | undefined; readonly text: string } {
  let found: TarEntry | undefined;
  let text = "";
  const reader = new TarReader({
    begin: (begun) => {
      found = begun;
    },
    data: (bytes) => {
      text += bytes.toString("latin1");
    },
    end: () => {},
  });
  reader.push(Buffer.concat([entryHeader(entry), data, padding(data.length), archiveEnd()]));
  reader.finish();
  return { entry: found, text };
}

test.each<[string, Partial<WrittenEntry>]>([
  ["a file", {}],
  ["a directory", { kind: "directory", name: "d/" }],
  ["a symlink", { kind: "symlink", link: "../x" }],
  ["a hard link", { kind: "hard link", link: "a/c" }],
  ["a FIFO", { kind: "fifo" }],
  ["a name of 100 bytes", { name: "n".repeat(100) }],
  ["a long name", { name: `${"long/".repeat(50)}n` }],
  ["a name that is not UTF-8", { name: "\xe9\xff" }],
  ["a long name that is not UTF-8", { name: "\xe9".repeat(150) }],
  ["a long target", { kind: "symlink", link: "t/".repeat(80) }],
  ["large IDs", { uid: 4_000_000_000, gid: 2_097_152 }],
  ["a time with a fraction", { mtime: 1_700_000_000.5 }],
  ["a time before the epoch", { mtime: -5 }],
  [
    "attributes",
    {
      xattrs: new Map([
        ["user.b", Buffer.from("x\0y")],
        ["security.capability", Buffer.from([1, 0x80, 0])],
      ]),
    },
  ],
])("%s", (_, some) => {
  const { device: _device, ...entry } = reread({ ...PLAIN, ...some }).entry ?? {};
  expect(entry).toEqual({ ...PLAIN, ...some });
});

test("data, and attributes in any order give the same bytes", () => {
  expect(reread({ ...PLAIN, size: 5 }, Buffer.from("hello")).text).toBe("hello");
  const [one, other] = [["user.a", Buffer.from("1")] as const, ["user.b", Buffer.from("2")] as const];
  const bytes = (xattrs: WrittenEntry["xattrs"]) => entryHeader({ ...PLAIN, xattrs });
  expect(bytes(new Map([one, other])).equals(bytes(new Map([other, one])))).toBe(true);
});
