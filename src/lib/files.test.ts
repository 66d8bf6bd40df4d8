import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inDirectory, isUnfinished, readIfThere, writeAtomically, writeAtomicallySync } from "./files";

test.each([
  ["/proc/self/comm", [], /^\w+/],
  ["/proc/self/nonexistent", [], undefined],
  ["/proc/self/comm/below-a-file", [], undefined],
  ["/proc/2147483647/stat", [], undefined],
  ["/proc", ["EISDIR"], undefined],
])("%s, if %j counts as missing", (path, absent, text) => {
  const found = readIfThere(path, absent);
  if (text === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(text);
});

test("other errors are thrown", () => {
  expect(() => readIfThere("/proc")).toThrow("EISDIR");
});

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "in-directory-"));
});
afterAll(() => rm(scratch, { recursive: true }));

test("a directory removed by others meanwhile is created again, accessible to root only", async () => {
  const directory = join(scratch, "all/of/them");
  let tries = 0;
  const path = await inDirectory(directory, async () => {
    tries += 1;
    if (tries < 3) for (const each of [directory, dirname(directory)]) await rmdir(each);
    await writeFile(join(directory, "own"), "");
    return join(directory, "own");
  });
  expect([tries, path]).toEqual([3, join(directory, "own")]);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
});

test("if something else is in its place, or the work fails, the error is thrown at once", async () => {
  await writeFile(join(scratch, "file"), "");
  let tries = 0;
  const count = () => {
    tries += 1;
    throw Object.assign(new Error("full"), { code: "ENOSPC" });
  };
  await expect(inDirectory(join(scratch, "file/below"), count)).rejects.toThrow(/ENOTDIR/);
  expect(tries).toBe(0);
  await expect(inDirectory(scratch, count)).rejects.toThrow("full");
  expect(tries).toBe(1);
});

test("retries end if the directory never exists", async () => {
  await expect(inDirectory(scratch, () => stat(join(scratch, "missing")))).rejects.toThrow(/ENOENT/);
});

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atomic-file-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe.each([
  ["writeAtomically", writeAtomically],
  ["writeAtomicallySync", async (path: string, text: string) => writeAtomicallySync(path, text)],
])("%s", (_name, write) => {
  test.each(["", "text", "ä\n".repeat(100_000)])("writes a file of its owner alone", async (text) => {
    const path = join(directory, "file");
    for (const content of ["before", text]) await write(path, content);
    expect(readFileSync(path, "utf8")).toBe(text);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(["file"]);
  });

  test("replaces the file: a reader that has it open keeps the old content", async () => {
    const path = join(directory, "file");
    writeFileSync(path, "old");
    const before = statSync(path).ino;
    await write(path, "new");
    expect(statSync(path).ino).not.toBe(before);
  });

  test("after a failure nothing is left", async () => {
    const path = join(directory, "taken");
    mkdirSync(join(path, "full"), { recursive: true });
    await expect(write(path, "text")).rejects.toThrow();
    await expect(write(join(directory, "missing/file"), "text")).rejects.toThrow("ENOENT");
    expect(readdirSync(directory)).toEqual(["taken"]);
  });
});

test.each([
  ["web.json.5b3c.new", true],
  ["rules.nft.new", true],
  ["web.json", false],
  ["new", false],
])("%s is unfinished: %p", (name, unfinished) => {
  expect(isUnfinished(name)).toBe(unfinished);
});
