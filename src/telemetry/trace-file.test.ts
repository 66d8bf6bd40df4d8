import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TraceFile } from "./trace-file";

const top = mkdtempSync(join(tmpdir(), "traces-"));
afterAll(() => rmSync(top, { recursive: true }));

function traces(path: string, mostBytes = 1000) {
  const warnings: string[] = [];
  const log = { warn: (_message: string, fields: object = {}) => void warnings.push(JSON.stringify(fields)) };
  return { file: new TraceFile(() => ({ path, mostBytes }), log), warnings };
}

test("lines are appended in order to a file of mode 0600, in a directory that is made", async () => {
  const path = join(top, "made/lines");
  const { file, warnings } = traces(path);
  for (const line of ["one", "two", "three"]) file.write(line);
  await file.flush();
  expect(readFileSync(path, "utf8")).toBe("one\ntwo\nthree\n");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(top, "made")).mode & 0o777).toBe(0o700);
  expect(warnings).toEqual([]);
});

test("a file that would become too large is renamed, in place of the one before", async () => {
  const directory = mkdtempSync(join(top, "sizes-"));
  const path = join(directory, "t");
  const { file } = traces(path, 10);
  for (const line of ["aaaa", "bbbb", "cccc", "dddd", "eeee", "longer than ten bytes"]) file.write(line);
  await file.flush();
  expect(readdirSync(directory).sort()).toEqual(["t", "t.1"]);
  expect(readFileSync(path, "utf8")).toBe("longer than ten bytes\n");
  expect(readFileSync(`${path}.1`, "utf8")).toBe("eeee\n");
});

test("errors are logged once, and do not end it", async () => {
  const directory = mkdtempSync(join(top, "open-"));
  const path = join(directory, "t");
  const { file, warnings } = traces(path);
  chmodSync(directory, 0o777);
  file.write("lost");
  file.write("lost");
  await file.flush();
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain("must belong to root and be writable by root alone");
  chmodSync(directory, 0o700);
  file.write("kept");
  await file.flush();
  expect(readFileSync(path, "utf8")).toBe("kept\n");
});

test("a symlink in the file's place is not followed", async () => {
  const directory = mkdtempSync(join(top, "link-"));
  symlinkSync(join(top, "victim"), join(directory, "t"));
  const { file, warnings } = traces(join(directory, "t"));
  file.write("x");
  await file.flush();
  expect(warnings).toHaveLength(1);
  expect(readdirSync(top)).not.toContain("victim");
});
