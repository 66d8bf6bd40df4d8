import { describe, expect, test } from "bun:test";
import {
  type ArchiveEntry,
  archive,
  directory,
  file,
  headerBlock,
  paxRecords,
  symlink,
} from "../../../test/support/tar-archive";
import { UnpackError } from "../../lib/errors";
import { BLOCK, type TarEntry } from "./tar-header";
import { TarReader } from "./tar-reader";

const CUT_OFF = "it is truncated";
const DAMAGED_MAP = "a sparse file's map is damaged";
const NOT_AN_ARCHIVE = "it is not a tar archive, or is damaged (a header's checksum is wrong)";

/** An entry that came out, with its data by position. */
interface Read {
  readonly entry: TarEntry;
  readonly data: ReadonlyMap<number, string>;
}

/** Reads an archive in pieces of some bytes; data that follows on other data is put together. */
function read(bytes: Uint8Array, piece = bytes.length): Read[] {
  const all: Read[] = [];
  let open: { readonly entry: TarEntry; readonly data: Map<number, string> } | undefined;
  const reader = new TarReader({
    begin: (entry) => {
      expect(open).toBeUndefined();
      open = { entry, data: new Map() };
    },
    data: (part, position) => {
      const data = open?.data;
      if (data === undefined) throw new Error("data without an entry");
      const [at, text] = [...data].at(-1) ?? [position, ""];
      if (at + text.length === position) data.set(at, text + part.toString("latin1"));
      else data.set(position, part.toString("latin1"));
    },
    end: () => {
      if (open === undefined) throw new Error("an end without an entry");
      all.push(open);
      open = undefined;
    },
  });
  for (let at = 0; at < bytes.length; at += piece) reader.push(Buffer.from(bytes.subarray(at, at + piece)));
  reader.finish();
  return all;
}

/** What of an entry most tests look at. */
function inShort({ entry: { kind, name, link, size }, data }: Read): readonly unknown[] {
  return [kind, name, ...(link === "" ? [] : [link]), size, ...data];
}

const end = Buffer.alloc(2 * BLOCK);

/** A file in GNU's own sparse format: pieces in the header, four at most, and in further blocks. */
function gnuSparse(name: string, size: number, pieces: readonly (readonly [number, number])[], data: string): Buffer {
  const digits = (number: number) => `${number.toString(8).padStart(11, "0")}\0`;
  const text = (some: typeof pieces) => some.map(([at, length]) => digits(at) + digits(length)).join("");
  const header = headerBlock({ name, type: "S", data }, (block) => {
    block.write(text(pieces.slice(0, 4)), 386);
    if (pieces.length > 4) block[482] = 1;
    block.write(digits(size), 483);
  });
  const blocks: Buffer[] = [];
  for (let at = 4; at < pieces.length; at += 21) {
    const block = Buffer.alloc(BLOCK);
    block.write(text(pieces.slice(at, at + 21)));
    if (pieces.length > at + 21) block[504] = 1;
    blocks.push(block);
  }
  return Buffer.concat([header, ...blocks, Buffer.from(data), Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

/** The data of a file in format 1.0: its map, filled up to a block, and its pieces. */
function withMap(map: string, data: string): string {
  return map.padEnd(Math.ceil(map.length / BLOCK) * BLOCK, "\0") + data;
}

const sparse1 = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s" };
const longName = `${"d/".repeat(100)}file`;

describe("archives", () => {
  test.each([
    ["nothing", Buffer.alloc(0), []],
    ["only the end", end, []],
    ["a file", archive([file("a", "hello")]), [["file", "a", 5, [0, "hello"]]]],
    ["an empty file", archive([file("a")]), [["file", "a", 0]]],
    [
      "a file of a whole block",
      archive([file("a", "x".repeat(BLOCK))]),
      [["file", "a", BLOCK, [0, "x".repeat(BLOCK)]]],
    ],
    ["a contiguous file", archive([file("a", "b", { type: "7" })]), [["file", "a", 1, [0, "b"]]]],
    [
      "several entries",
      archive([directory("d/"), file("d/a", "1"), symlink("d/l", "a"), { name: "d/h", type: "1", link: "d/a" }]),
      [
        ["directory", "d/", 0],
        ["file", "d/a", 1, [0, "1"]],
        ["symlink", "d/l", "a", 0],
        ["hard link", "d/h", "d/a", 0],
      ],
    ],
    [
      "FIFOs and devices",
      archive([
        { name: "f", type: "6" },
        { name: "c", type: "3" },
        { name: "b", type: "4" },
      ]),
      [
        ["fifo", "f", 0],
        ["character device", "c", 0],
        ["block device", "b", 0],
      ],
    ],
    ["a directory of old programs: an empty file with a slash", archive([file("d/")]), [["directory", "d/", 0]]],
    [
      "a hard link with a size, but without data",
      archive([{ name: "h", type: "1", link: "a", size: 9 }]),
      [["hard link", "h", "a", 0]],
    ],
    ["an archive without its end", archive([file("a", "1")], { end: false }), [["file", "a", 1, [0, "1"]]]],
    [
      "an archive with one block of zeros as its end",
      Buffer.concat([archive([file("a")], { end: false }), end.subarray(0, BLOCK)]),
      [["file", "a", 0]],
    ],
    [
      "something after its end",
      Buffer.concat([archive([file("a")]), Buffer.from("not a header"), archive([file("b")])]),
      [["file", "a", 0]],
    ],
    [
      "names as they are written",
      archive([file("../a"), file("/b"), file("c\xff")]),
      [
        ["file", "../a", 0],
        ["file", "/b", 0],
        ["file", "c\xff", 0],
      ],
    ],
    [
      "GNU's long name",
      archive([{ name: "././@LongLink", type: "L", data: `${longName}\0` }, file("short", "1")]),
      [["file", longName, 1, [0, "1"]]],
    ],
    [
      "GNU's long name and long link, for one entry alone",
      archive([
        { name: "././@LongLink", type: "K", data: `${longName}2\0` },
        { name: "././@LongLink", type: "L", data: `${longName}\0` },
        symlink("n", "l"),
        symlink("n", "l"),
      ]),
      [
        ["symlink", longName, `${longName}2`, 0],
        ["symlink", "n", "l", 0],
      ],
    ],
    [
      "GNU's long name with bytes after its NUL",
      archive([{ name: "L", type: "L", data: "a\0b" }, file("n")]),
      [["file", "a", 0]],
    ],
    [
      "an extended header, for one entry alone",
      archive([file("n", "1", { pax: { path: longName } }), file("n", "2")]),
      [
        ["file", longName, 1, [0, "1"]],
        ["file", "n", 1, [0, "2"]],
      ],
    ],
    [
      "a link in an extended header",
      archive([{ ...symlink("n", "l"), pax: { linkpath: longName } }]),
      [["symlink", "n", longName, 0]],
    ],
    [
      "a size in an extended header",
      archive([file("n", "123", { size: 0, pax: { size: "3" } })]),
      [["file", "n", 3, [0, "123"]]],
    ],
    [
      "an extended header before GNU's long name",
      archive([{ name: "L", type: "L", data: "long\0" }, file("n", "", { pax: { path: "pax" } })]),
      [["file", "pax", 0]],
    ],
    [
      "a global extended header, which changes nothing",
      archive([{ name: "g", type: "g", data: paxRecords({ path: "other", uid: "5" }) }, file("n")]),
      [["file", "n", 0]],
    ],
    [
      "a sparse file of GNU's own format",
      Buffer.concat([
        gnuSparse(
          "s",
          100,
          [
            [10, 2],
            [50, 3],
          ],
          "abcde",
        ),
        archive([file("n", "1")]),
      ]),
      [
        ["file", "s", 100, [10, "ab"], [50, "cde"]],
        ["file", "n", 1, [0, "1"]],
      ],
    ],
    [
      "the same with a map of several blocks",
      Buffer.concat([
        gnuSparse(
          "s",
          1000,
          Array.from({ length: 40 }, (_, at) => [at * 20, 1] as const),
          "x".repeat(40),
        ),
        end,
      ]),
      [["file", "s", 1000, ...Array.from({ length: 40 }, (_, at) => [at * 20, "x"])]],
    ],
    ["a sparse file that is one hole", Buffer.concat([gnuSparse("s", 100, [[100, 0]], ""), end]), [["file", "s", 100]]],
    [
      "a sparse file of format 0.1",
      archive([
        file("n", "abcde", {
          pax: { "GNU.sparse.size": "100", "GNU.sparse.map": "10,2,50,3", "GNU.sparse.name": "s" },
        }),
      ]),
      [["file", "s", 100, [10, "ab"], [50, "cde"]]],
    ],
    [
      "a sparse file of format 1.0",
      archive([
        file("GNUSparseFile.0/s", withMap("2\n10\n2\n50\n3\n", "abcde"), {
          pax: { ...sparse1, "GNU.sparse.realsize": "100" },
        }),
        file("n", "1"),
      ]),
      [
        ["file", "s", 100, [10, "ab"], [50, "cde"]],
        ["file", "n", 1, [0, "1"]],
      ],
    ],
    [
      "the same with a map of several blocks",
      archive([
        file(
          "n",
          withMap(`100\n${Array.from({ length: 100 }, (_, at) => `${at * 1000}\n1\n`).join("")}`, "x".repeat(100)),
          {
            pax: { ...sparse1, "GNU.sparse.realsize": "100000" },
          },
        ),
      ]),
      [["file", "s", 100_000, ...Array.from({ length: 100 }, (_, at) => [at * 1000, "x"])]],
    ],
  ])("%s", (_, bytes, entries) => {
    for (const piece of [bytes.length, 4096, BLOCK, 511, 7, 1]) {
      expect(read(bytes, Math.max(piece, 1)).map(inShort)).toEqual(entries);
    }
  });

  test("all of an entry", () => {
    const capability = Buffer.from([1, 0, 0, 2, 0x80, 0, 0, 0]);
    const bytes = archive([
      file("a", "1", { mode: 0o4755, uid: 1, gid: 2, mtime: 3 }),
      file("b", "", {
        pax: { uid: "100000", gid: "4294967294", mtime: "1.5", "SCHILY.xattr.security.capability": capability },
      }),
      { name: "c", type: "3", mode: 0o666, device: [1, 3] },
    ]);
    const plain = { kind: "file", link: "", mode: 0o644, size: 0, xattrs: new Map(), device: { major: 0, minor: 0 } };
    expect(read(bytes).map(({ entry }): unknown => entry)).toEqual([
      { ...plain, name: "a", mode: 0o4755, uid: 1, gid: 2, mtime: 3, size: 1 },
      {
        ...plain,
        name: "b",
        uid: 100_000,
        gid: 0xffff_fffe,
        mtime: 1.5,
        xattrs: new Map([["security.capability", capability]]),
      },
      {
        ...plain,
        kind: "character device",
        name: "c",
        mode: 0o666,
        uid: 0,
        gid: 0,
        mtime: 1_700_000_000,
        device: { major: 1, minor: 3 },
      },
    ]);
  });
});

describe("archives that are cut off", () => {
  const whole = archive([file("a", "hello", { pax: { path: "long" } }), file("b", "x".repeat(600))], { end: false });
  /** From the end of an entry's data to that of its padding, which the last entry need not have. */
  const complete = [
    [0, 0],
    [2 * BLOCK, 2 * BLOCK],
    [3 * BLOCK + 5, 4 * BLOCK],
    [5 * BLOCK + 600, whole.length],
  ] as const;

  test.each(Array.from({ length: whole.length / 64 + 1 }, (_, at) => at * 64))("after %d bytes", (length) => {
    const part = whole.subarray(0, length);
    if (complete.some(([from, to]) => length >= from && length <= to)) read(part);
    else expect(() => read(part)).toThrow(new UnpackError(CUT_OFF));
  });

  test.each([
    [
      "GNU's map of a sparse file",
      gnuSparse(
        "s",
        99,
        Array.from({ length: 5 }, (_, at) => [at, 1] as const),
        "x".repeat(5),
      ),
      BLOCK,
    ],
    [
      "a map of format 1.0",
      archive([file("n", withMap("1\n0\n1\n", "a"), { pax: { ...sparse1, "GNU.sparse.realsize": "1" } })]),
      3 * BLOCK,
    ],
    ["GNU's long name", archive([{ name: "L", type: "L", data: longName }]), BLOCK + 100],
  ])("in %s", (_, bytes, length) => {
    for (const more of [0, 1, 99]) {
      expect(() => read(bytes.subarray(0, length + more))).toThrow(new UnpackError(CUT_OFF));
    }
  });
});

describe("refused", () => {
  const one = (entry: ArchiveEntry) => archive([entry]);
  const sparse01 = (map: string, size: string, data: string) =>
    one(file("n", data, { pax: { "GNU.sparse.map": map, "GNU.sparse.size": size } }));
  const sparse10 = (map: string, size: string, data: string) =>
    one(file("n", withMap(map, data), { pax: { ...sparse1, "GNU.sparse.realsize": size } }));

  test.each([
    ["another file", Buffer.from("#!/bin/sh\n".repeat(100)), NOT_AN_ARCHIVE],
    ["a wrong checksum", one(file("a", "", { checksum: 1 })), NOT_AN_ARCHIVE],
    ["a damaged second header", archive([file("a", "1"), file("b", "", { checksum: 1 })]), NOT_AN_ARCHIVE],
    ["data after a directory, which has none", one(directory("d", { data: "x".repeat(BLOCK) })), NOT_AN_ARCHIVE],
    ["an unknown type", one({ name: "v", type: "V" }), 'it has an entry of unknown type "V"'],
    [
      "a type that a terminal would act on",
      one({ name: "v", type: "\u001b" }),
      'it has an entry of unknown type "\\u001b"',
    ],
    ["a negative size", one(file("a", "", { size: Buffer.alloc(12, 0xff) })), "a header has a number out of range"],
    [
      "an owner of all bits",
      one(file("a", "", { pax: { uid: "4294967295" } })),
      "a header has the owner 4294967295, which is out of range",
    ],
    [
      "a group above 32 bits",
      one(file("a", "", { pax: { gid: "4294967296" } })),
      "a header has the owner 4294967296, which is out of range",
    ],
    [
      "a time that no date can be",
      one(file("a", "", { pax: { mtime: "8640000000001" } })),
      "a header has a time out of range",
    ],
    [
      "the same before 1970",
      one(file("a", "", { pax: { mtime: "-8640000000001" } })),
      "a header has a time out of range",
    ],
    [
      "an extended header that is damaged",
      one({ name: "x", type: "x", data: "9 a=b\n" }),
      "an extended header is damaged",
    ],
    [
      "an extended header with a bad number",
      one(file("a", "", { pax: { size: "-5" } })),
      "an extended header has an invalid number as size",
    ],
    ...["x", "g", "L", "K", "X"].map(
      (type) =>
        [
          `a header of type ${type} of more than 1 MiB`,
          one({ name: "x", type, size: 1024 * 1024 + 1 }),
          "an extended header is too long",
        ] as const,
    ),
    [
      "a sparse file of format 0.0",
      one(file("n", "a", { pax: { "GNU.sparse.size": "9", "GNU.sparse.numblocks": "1" } })),
      "it has a sparse file of format 0.0, which is not supported",
    ],
    ["a map of format 0.1 that overlaps", sparse01("0,5,4,5", "20", "x".repeat(10)), DAMAGED_MAP],
    ["a map of format 0.1 that ends behind the file", sparse01("15,10", "20", "x".repeat(10)), DAMAGED_MAP],
    ["a map of format 0.1 with less than the data", sparse01("0,5", "20", "x".repeat(10)), DAMAGED_MAP],
    ["a map of format 0.1 with more than the data", sparse01("0,15", "20", "x".repeat(10)), DAMAGED_MAP],
    ["a map of format 1.0 that is not in order", sparse10("2\n10\n5\n0\n5\n", "20", "x".repeat(10)), DAMAGED_MAP],
    ["a map of format 1.0 with more pieces than lines", sparse10("9\n0\n5\n", "20", "x".repeat(10)), DAMAGED_MAP],
    [
      "a map of format 1.0 that is longer than the data",
      one(file("n", "5\n0\n1\n".padEnd(BLOCK, "0"), { pax: { ...sparse1, "GNU.sparse.realsize": "9" } })),
      DAMAGED_MAP,
    ],
    [
      "a map of format 1.0 in a file without data",
      one(file("n", "", { pax: { ...sparse1, "GNU.sparse.realsize": "9" } })),
      DAMAGED_MAP,
    ],
    [
      "a map of GNU's own that overlaps",
      Buffer.concat([
        gnuSparse(
          "s",
          20,
          [
            [0, 5],
            [4, 5],
          ],
          "x".repeat(10),
        ),
        end,
      ]),
      DAMAGED_MAP,
    ],
    [
      "a map of GNU's own that ends behind the file",
      Buffer.concat([
        gnuSparse(
          "s",
          8,
          [
            [0, 5],
            [5, 5],
          ],
          "x".repeat(10),
        ),
        end,
      ]),
      DAMAGED_MAP,
    ],
    [
      "a map of GNU's own of more than 50000 pieces",
      gnuSparse(
        "s",
        1_000_000,
        Array.from({ length: 50_100 }, (_, at) => [at * 2, 1] as const),
        "x".repeat(50_100),
      ),
      "a sparse file's map is too long",
    ],
  ] as const)("%s", (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(new UnpackError(message));
  });
});
