import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNspawn, readNspawn } from "./nspawn-version";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "nspawn-version-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const program = (text: string, mode = 0o755) =>
  writeFileSync(join(directory, "systemd-nspawn"), `#!/bin/sh\n${text}\n`, { mode });

test("finds the installed program and its version", async () => {
  const installed = await readNspawn();
  expect(installed?.path).toStartWith("/");
  expect(installed?.version).toBeGreaterThanOrEqual(249);
});

test("not installed, not executable, or a directory", () => {
  expect(findNspawn([directory])).toBeUndefined();
  program("", 0o644);
  expect(findNspawn([directory])).toBeUndefined();
  rmSync(join(directory, "systemd-nspawn"));
  mkdirSync(join(directory, "systemd-nspawn"));
  expect(findNspawn([directory])).toBeUndefined();
});

test("reads the version from the program that was found", async () => {
  program("echo 'systemd 260 (260.1)'");
  expect(await readNspawn([directory])).toEqual({ path: join(directory, "systemd-nspawn"), version: 260 });
});

test("a broken program is reported with its output", async () => {
  program("echo broken libraries >&2; exit 127");
  await expect(readNspawn([directory])).rejects.toThrow(
    /cannot parse the output of .*--version \(exit code 127\): broken libraries/,
  );
});
