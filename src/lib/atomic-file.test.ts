import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isUnfinished, writeAtomically, writeAtomicallySync } from "./atomic-file";

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
