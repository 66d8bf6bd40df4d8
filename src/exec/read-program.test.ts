import { afterAll, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { O_PATH } from "../linux/constants";
import { createFifo } from "../linux/files";
import { identify } from "../linux/proc";
import { readInside } from "./read-inside";
import { ContentsParser, type Found, parseFound } from "./read-program";

const directory = mkdtempSync(join(tmpdir(), "look-"));
afterAll(() => rmSync(directory, { recursive: true }));
const leader = identify(process.pid) ?? { pid: 0, startTime: 0 };

async function look(files: readonly string[], find?: string) {
  const root = openSync(directory, O_PATH | constants.O_DIRECTORY);
  try {
    return await readInside({ root, leader }, { files, find, open: (found: Found | undefined) => found?.kind });
  } finally {
    closeSync(root);
  }
}

test("reads whole files; others are empty, and no symlink leads out", async () => {
  const long = "0123456789".repeat(10_000);
  writeFileSync(join(directory, "long"), long);
  writeFileSync(join(directory, "short"), "ä\n");
  writeFileSync(join(directory, "huge"), "");
  Bun.spawnSync(["truncate", "-s", "1G", join(directory, "huge")]);
  createFifo(join(directory, "fifo"), 0o600);
  symlinkSync("/short", join(directory, "absolute"));
  symlinkSync("../../../../etc/passwd", join(directory, "out"));
  expect(
    (await look(["/long", "/missing", "/fifo", "/huge", "/absolute", "/out", "/", "/short"], "/fifo")).texts,
  ).toEqual([long, "", "", "", "ä\n", "", "", "ä\n"]);
});

test("does not open what it only has to find", async () => {
  expect(await look(["/short"], "/fifo")).toEqual({ texts: ["ä\n"], opened: 0o010000 });
  expect(await look([], "/missing")).toEqual({ texts: [], opened: undefined });
});

test("a report that is too short, or of a failed call, means not found", () => {
  expect(parseFound(new Uint8Array(10))).toEqual([]);
  expect(parseFound(new Uint8Array(392))).toEqual([undefined]);
});

test("contents are parsed wherever the chunks are split", () => {
  const chunk = (text: string) => {
    const bytes = Buffer.alloc(8 + 16 * 1024);
    bytes.writeBigInt64LE(BigInt(text.length));
    bytes.write(text, 8);
    return bytes;
  };
  const all = Buffer.concat([chunk("a"), chunk("b"), chunk(""), chunk("c"), chunk("")]);
  for (const size of [7, 4096, 16_392, all.length]) {
    const parser = new ContentsParser();
    let total = 0;
    for (let at = 0; at < all.length; at += size) total = parser.add(all.subarray(at, at + size));
    expect(total).toBe(3);
    expect(parser.texts().slice(0, 2)).toEqual(["ab", "c"]);
  }
});
