import { expect, test } from "bun:test";
import fc from "fast-check";
import { bytesLike, cpuMs, fuzz } from "../../../test/support/fuzz";
import { UnpackError } from "../../lib/errors";
import { parsePax, paxOverrides } from "./pax";
import { DataMap, paxSparse } from "./sparse";
import { TarReader } from "./tar-reader";

const BLOCK = 512;

/** An entry of an archive, in the format of tar(5). */
function entry(type: string, content: Uint8Array, change: (header: Buffer) => void = () => {}): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write("name", 0);
  header.write("0000644\0" + "0000001\0" + "0000001\0", 100);
  header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000001\0", 136);
  header.write(type, 156);
  header.write("ustar\0" + "00", 257);
  change(header);
  sum(header);
  return Buffer.concat([header, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

function sum(header: Buffer): void {
  header.fill(0x20, 148, 156);
  const total = header.reduce((all, byte) => all + byte, 0);
  header.write(`${total.toString(8).padStart(6, "0")}\0 `, 148);
}

function pax(records: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length + 1;
    while (`${length}${rest}`.length !== length) length += 1;
    return `${length}${rest}`;
  });
  return Buffer.from(lines.join(""));
}

const sparseMap = Buffer.alloc(BLOCK);
sparseMap.write("2\n0\n4\n100\n4\n");
const seeds = [
  entry("0", Buffer.from("content")),
  Buffer.concat([
    entry("x", pax({ path: "long/name", uid: "5", mtime: "1.5", "SCHILY.xattr.user.a": "b" })),
    entry("0", Buffer.from("x")),
  ]),
  Buffer.concat([
    entry("L", Buffer.from("a-long-name\0")),
    entry("2", new Uint8Array(), (header) => header.write("to", 157)),
  ]),
  entry("S", Buffer.from("abcd"), (header) => {
    header.write("00000000010\0" + "00000000004\0", 386);
    header.write("00000000020\0", 483);
  }),
  Buffer.concat([
    entry(
      "x",
      pax({ "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "104", "GNU.sparse.name": "n" }),
    ),
    entry("0", Buffer.concat([sparseMap, Buffer.from("abcdefgh")])),
  ]),
];

/** Reads an archive in pieces; returns the number of bytes of all files. */
function read(bytes: Uint8Array, piece: number): number {
  let given = 0;
  const reader = new TarReader({
    begin: () => {},
    data: (part) => {
      given += part.length;
    },
    end: () => {},
  });
  for (let at = 0; at < bytes.length; at += piece) reader.push(Buffer.from(bytes.subarray(at, at + piece)));
  reader.finish();
  return given;
}

test("the fuzzer's seeds are valid", () => {
  expect(seeds.map((seed) => read(seed, 100))).toEqual([7, 1, 0, 4, 8]);
});

test("archives are parsed or rejected, and yield no more data than they have", () => {
  // Otherwise nearly every mutation would be rejected for its checksum.
  const summed = bytesLike(...seeds).map((bytes) => {
    const copy = Buffer.from(bytes);
    for (let at = 0; at + BLOCK <= copy.length; at += BLOCK) {
      if (copy.toString("latin1", at + 257, at + 262) === "ustar") sum(copy.subarray(at, at + BLOCK));
    }
    return copy;
  });
  fuzz(
    fc.tuple(summed, fc.constantFrom(1, 7, 511, 512, 4096)),
    ([bytes, piece]) => expect(read(bytes, piece)).toBeLessThanOrEqual(bytes.length),
    [UnpackError],
    3_000,
  );
});

test("extended headers are parsed or rejected", () => {
  const good = pax({
    path: "p",
    size: "7",
    uid: "1",
    mtime: "-1.5",
    "GNU.sparse.realsize": "9",
    "GNU.sparse.map": "0,1,5,2",
  });
  fuzz(
    bytesLike(good, pax({ linkpath: "l", "SCHILY.xattr.security.capability": "x" })),
    (bytes) => {
      const records = parsePax(Buffer.from(bytes));
      paxOverrides(records);
      paxSparse(records);
    },
    [UnpackError],
    3_000,
  );
});

test("a map in a sparse file's data takes time in proportion to its length", () => {
  const block = Buffer.from("1\n".repeat(BLOCK / 2));
  const many = Buffer.from(block);
  many.write("9999999\n");
  const begin = cpuMs();
  const map = new DataMap();
  expect(map.add(many)).toBeUndefined();
  for (let count = 0; count < 2_000; count += 1) expect(map.add(block)).toBeUndefined();
  expect(cpuMs() - begin).toBeLessThan(1_000);
});
