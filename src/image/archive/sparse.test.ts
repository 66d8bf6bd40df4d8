import { describe, expect, test } from "bun:test";
import { paxRecords } from "../../../test/support/tar-archive";
import { UnpackError } from "../../lib/errors";
import { parsePax } from "./pax";
import { checkPieces, DataMap, gnuPieces, paxSparse } from "./sparse";
import { BLOCK } from "./tar-header";

const DAMAGED = "a sparse file's map is damaged";
const OLD = "it has a sparse file of format 0.0, which is not supported";

/** Pieces as GNU's own format has them: 12 octal digits of offset and of size each. */
function gnuMap(...numbers: readonly number[]): Buffer {
  const text = numbers.map((number) => `${number.toString(8).padStart(11, "0")}\0`).join("");
  return Buffer.concat([Buffer.from(text), Buffer.alloc(BLOCK - text.length)]);
}

describe("pieces of GNU's own format", () => {
  test.each([
    ["none", gnuMap(), 4, []],
    ["one", gnuMap(0, 4), 4, [{ offset: 0, size: 4 }]],
    [
      "several",
      gnuMap(512, 512, 4096, 1),
      4,
      [
        { offset: 512, size: 512 },
        { offset: 4096, size: 1 },
      ],
    ],
    ["more than their field holds", gnuMap(0, 1, 2, 1), 1, [{ offset: 0, size: 1 }]],
    [
      "up to a NUL",
      Buffer.concat([gnuMap(0, 1).subarray(0, 24), Buffer.alloc(24), gnuMap(2, 1)]),
      4,
      [{ offset: 0, size: 1 }],
    ],
    [
      "with an empty one at the end, as GNU tar writes a hole there",
      gnuMap(0, 1, 9, 0),
      4,
      [
        { offset: 0, size: 1 },
        { offset: 9, size: 0 },
      ],
    ],
  ])("%s", (_, block, count, pieces) => {
    expect(gnuPieces(block, 0, count)).toEqual(pieces);
  });

  test("an offset above 8 GiB is binary", () => {
    const block = gnuMap(0, 1);
    block.fill(0, 0, 12);
    block[0] = 0x80;
    block.writeUInt32BE(1, 4);
    expect(gnuPieces(block, 0, 4)).toEqual([{ offset: 2 ** 32, size: 1 }]);
  });

  test.each([
    ["an offset that is not octal", "0000000000x\0", "a header has an invalid number"],
    ["a negative offset", "-0000000001\0", "a header has a number out of range"],
    ["a negative offset in binary", "\xff".repeat(12), "a header has a number out of range"],
  ])("refused: %s", (_, text, message) => {
    const block = gnuMap(0, 1);
    block.write(text, 0, "latin1");
    expect(() => gnuPieces(block, 0, 4)).toThrow(new UnpackError(message));
  });
});

describe("extended headers of sparse files", () => {
  const sparse = (records: Readonly<Record<string, string>>) => paxSparse(parsePax(paxRecords(records)));

  test.each([
    ["of another file", { path: "p", size: "5" }, undefined],
    [
      "0.1, with the map in the header",
      { "GNU.sparse.size": "104", "GNU.sparse.numblocks": "2", "GNU.sparse.map": "0,4,100,4" },
      {
        size: 104,
        pieces: [
          { offset: 0, size: 4 },
          { offset: 100, size: 4 },
        ],
      },
    ],
    ["0.1, of a file that is one hole", { "GNU.sparse.size": "104", "GNU.sparse.map": "" }, { size: 104, pieces: [] }],
    [
      "1.0, with the map in the data",
      { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "104" },
      { size: 104, inData: true },
    ],
    [
      "both sizes: the real one counts",
      { "GNU.sparse.realsize": "9", "GNU.sparse.size": "5", "GNU.sparse.map": "0,5" },
      { size: 9, pieces: [{ offset: 0, size: 5 }] },
    ],
  ])("%s", (_, records, map) => {
    expect<unknown>(sparse(records)).toEqual(map);
  });

  test.each([
    ["0.0, which has no map in one record", { "GNU.sparse.size": "104", "GNU.sparse.numblocks": "1" }, OLD],
    ["a size that is not a number", { "GNU.sparse.realsize": "x", "GNU.sparse.map": "0,1" }, DAMAGED],
    ["a negative size", { "GNU.sparse.realsize": "-1", "GNU.sparse.map": "0,1" }, DAMAGED],
    ["an empty size in 1.0", { "GNU.sparse.major": "1", "GNU.sparse.realsize": "" }, DAMAGED],
    ["a size of 17 digits", { "GNU.sparse.realsize": "00000000000000001", "GNU.sparse.map": "0,1" }, DAMAGED],
    ["a map with an empty number", { "GNU.sparse.size": "5", "GNU.sparse.map": "0," }, DAMAGED],
    ["a map of one number", { "GNU.sparse.size": "5", "GNU.sparse.map": "0" }, DAMAGED],
    ["a map whose last offset has no size", { "GNU.sparse.size": "9", "GNU.sparse.map": "0,5,7" }, DAMAGED],
    ["a map with a negative number", { "GNU.sparse.size": "5", "GNU.sparse.map": "-1,5" }, DAMAGED],
    ["a map with spaces", { "GNU.sparse.size": "5", "GNU.sparse.map": "0, 5" }, DAMAGED],
    ["a map with a fraction", { "GNU.sparse.size": "5", "GNU.sparse.map": "0,1.5" }, DAMAGED],
    ["a map with an inexact number", { "GNU.sparse.size": "5", "GNU.sparse.map": "0,9007199254740993" }, DAMAGED],
  ])("refused: %s", (_, records, message) => {
    expect(() => sparse(records)).toThrow(new UnpackError(message));
  });
});

describe("a map at the beginning of the data", () => {
  const block = (text: string) => {
    const bytes = Buffer.alloc(BLOCK);
    bytes.write(text);
    return bytes;
  };

  test.each([
    ["no pieces", "0\n", []],
    ["one piece", "1\n5\n7\n", [{ offset: 5, size: 7 }]],
    [
      "two pieces",
      "2\n0\n4\n100\n4\n",
      [
        { offset: 0, size: 4 },
        { offset: 100, size: 4 },
      ],
    ],
  ])("%s", (_, text, pieces) => {
    expect(new DataMap().add(block(text))).toEqual(pieces);
  });

  test("a map of several blocks, with a number across their border", () => {
    const numbers = [100, ...Array.from({ length: 100 }, (_, at) => [at * 1000, 10]).flat()];
    const text = numbers.map((number) => `${number}\n`).join("");
    const map = new DataMap();
    const first = Buffer.from(text.slice(0, BLOCK));
    expect(first.at(-1)).not.toBe(0x0a);
    expect(map.add(first)).toBeUndefined();
    expect(text.length).toBeLessThan(2 * BLOCK);
    const pieces = map.add(block(text.slice(BLOCK)));
    expect(pieces?.length).toBe(100);
    expect(pieces?.at(99)).toEqual({ offset: 99_000, size: 10 });
  });

  test.each([
    ["a count that is not a number", "two\n0\n4\n"],
    ["a negative count", "-1\n0\n4\n"],
    ["an empty line", "1\n\n4\n"],
    ["a number in hexadecimal", "1\n0x0\n4\n"],
    ["a number of 17 digits", "1\n00000000000000000\n4\n"],
    ["a number that is not exact", "1\n9007199254740993\n4\n"],
    ["fewer lines than the count says, then NULs", "2\n0\n4\n"],
    ["no line end", "1".repeat(BLOCK)],
    ["NULs", ""],
  ])("refused: %s", (_, text) => {
    expect(() => new DataMap().add(block(text))).toThrow(new UnpackError(DAMAGED));
  });
});

describe("pieces are within the file, in order, and as long as the data", () => {
  test.each([
    ["none of an empty file", [], 0, 0],
    ["none of a file that is one hole", [], 100, 0],
    ["one that is the whole file", [[0, 5]], 5, 5],
    [
      "with holes before, between and after",
      [
        [10, 5],
        [20, 5],
      ],
      100,
      10,
    ],
    [
      "that touch",
      [
        [0, 5],
        [5, 5],
      ],
      10,
      10,
    ],
    [
      "an empty one at the end",
      [
        [0, 5],
        [10, 0],
      ],
      10,
      5,
    ],
  ] as const)("%s", (_, pieces, size, stored) => {
    checkPieces({ pieces: pieces.map(([offset, length]) => ({ offset, size: length })), size }, stored);
  });

  test.each([
    [
      "overlap",
      [
        [0, 5],
        [4, 5],
      ],
      10,
      10,
    ],
    [
      "in the wrong order",
      [
        [5, 5],
        [0, 5],
      ],
      10,
      10,
    ],
    [
      "end behind the file",
      [
        [0, 5],
        [6, 5],
      ],
      10,
      10,
    ],
    ["begin behind the file", [[11, 0]], 10, 0],
    ["far behind what is exact", [[Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]], 10, 10],
    ["longer than the data", [[0, 5]], 10, 4],
    ["shorter than the data", [[0, 5]], 10, 6],
    ["none, but data", [], 10, 1],
  ] as const)("refused: %s", (_, pieces, size, stored) => {
    const map = { pieces: pieces.map(([offset, length]) => ({ offset, size: length })), size };
    expect(() => checkPieces(map, stored)).toThrow(new UnpackError(DAMAGED));
  });
});
