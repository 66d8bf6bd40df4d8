import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../command";
import { packBinary, removePacked, sha256, sumsName } from "./artifacts";

let directory = "";
let file = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "nspawn-artifacts-"));
  file = join(directory, "program");
  await writeFile(file, crypto.getRandomValues(new Uint8Array(60_000)));
});
afterAll(() => rm(directory, { recursive: true }));

test("SHA256SUMS lists both files, and the archive contains the executable", async () => {
  await packBinary(file);
  await run(["sha256sum", "--check", "--strict", sumsName], { cwd: directory });
  const lines = (await readFile(join(directory, sumsName), "utf8")).trim().split("\n");
  expect(lines.map((line) => line.split("  ")[1])).toEqual(["program", "program.xz"]);
  const unpacked = join(directory, "unpacked");
  await run(["cp", `${file}.xz`, `${unpacked}.xz`]);
  await run(["xz", "--decompress", `${unpacked}.xz`]);
  expect(await sha256(unpacked)).toBe(await sha256(file));
  await rm(unpacked);
});

test("an archive of the same executable is kept, that of another one is replaced or removed", async () => {
  await packBinary(file);
  const first = await stat(`${file}.xz`);
  await packBinary(file);
  expect((await stat(`${file}.xz`)).ino).toBe(first.ino);
  await writeFile(file, "another");
  await packBinary(file);
  expect((await stat(`${file}.xz`)).ino).not.toBe(first.ino);
  await removePacked(file);
  expect(await readdir(directory)).toEqual(["program"]);
});
