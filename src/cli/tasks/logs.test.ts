import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LineBuffer } from "./line-buffer";
import { LogFiles, logNumbers } from "./log-files";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "logs-"));
  mkdirSync(join(directory, "alloc/logs"), { recursive: true });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const path = (name: string) => join(directory, "alloc/logs", name);

function readAll(files: LogFiles): string {
  let text = "";
  for (let piece = files.read(); piece !== undefined; piece = files.read()) text += new TextDecoder().decode(piece);
  return text;
}

test("the files of one stream of one task, by their numbers", () => {
  const names = ["web.stdout.10", "web.stdout.9", "web.stderr.0", "web2.stdout.1", ".web.stdout.fifo", "web.stdout.x"];
  expect(logNumbers(names, "web.stdout.")).toEqual([9, 10]);
});

test("a log goes on in the next file", () => {
  writeFileSync(path("web.stdout.0"), "one\n");
  writeFileSync(path("web.stdout.1"), "two\n");
  const files = new LogFiles({ directory, task: "web" }, "stdout");
  expect(readAll(files)).toBe("one\ntwo\n");
  appendFileSync(path("web.stdout.1"), "three\n");
  writeFileSync(path("web.stdout.2"), "four\n");
  expect(readAll(files)).toBe("three\nfour\n");
  files.close();
});

test("a symlink and a device are not read", () => {
  writeFileSync(path("secret"), "secret");
  symlinkSync(path("secret"), path("web.stdout.0"));
  writeFileSync(path("web.stdout.1"), "two\n");
  const files = new LogFiles({ directory, task: "web" }, "stdout");
  expect(readAll(files)).toBe("two\n");
  files.close();
});

test("a directory that is a symlink is not read", () => {
  const linked = mkdtempSync(join(tmpdir(), "logs-"));
  symlinkSync(join(directory, "alloc"), join(linked, "alloc"));
  writeFileSync(path("web.stdout.0"), "one\n");
  expect(new LogFiles({ directory: linked, task: "web" }, "stdout").exists()).toBe(false);
  rmSync(linked, { recursive: true, force: true });
});

test("lines keep their ends, and a character may be divided", () => {
  const lines = new LineBuffer();
  const bytes = new TextEncoder().encode("a\nä\nrest");
  expect(lines.push(bytes.subarray(0, 3))).toEqual(["a\n"]);
  expect(lines.push(bytes.subarray(3))).toEqual(["ä\n"]);
  expect(lines.rest()).toBe("rest");
  expect(lines.rest()).toBe("");
});
