import { afterAll, beforeEach, expect, test } from "bun:test";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileLock, isFileLocked, lockOpened, tryFileLock, unusedFileLock } from "./flock";

const directory = mkdtempSync(join(tmpdir(), "flock-"));
const path = join(directory, "lock");
beforeEach(() => rmSync(path, { recursive: true, force: true }));
afterAll(() => rmSync(directory, { recursive: true }));

test.each([
  ["shared", "shared", true],
  ["shared", "exclusive", false],
  ["exclusive", "shared", false],
  ["exclusive", "exclusive", false],
] as const)("beside a lock that is %s, one that is %s: %p", (held, asked, possible) => {
  using first = tryFileLock(path, held);
  expect(first).toBeDefined();
  using second = tryFileLock(path, asked);
  expect(second !== undefined).toBe(possible);
});

test("a lock is free again when it is disposed of", () => {
  for (const _round of [1, 2]) {
    using lock = tryFileLock(path, "exclusive");
    expect(lock).toBeDefined();
  }
});

test.each([
  ["removed", () => rmSync(path)],
  ["replaced", () => renameSync(join(directory, "other"), path)],
])("a file that was %s after it was opened is not locked, and is closed", (_how, change) => {
  writeFileSync(path, "");
  writeFileSync(join(directory, "other"), "");
  const fd = openSync(path, "r");
  change();
  const before = readdirSync("/proc/self/fd").length;
  expect(lockOpened(fd, path, "exclusive")).toBeUndefined();
  expect(readdirSync("/proc/self/fd").length).toBe(before - 1);
});

test("a directory can be locked", () => {
  mkdirSync(path);
  using first = lockOpened(openSync(path, "r"), path, "exclusive");
  expect(first).toBeDefined();
  expect(lockOpened(openSync(path, "r"), path, "exclusive")).toBeUndefined();
});

test("waits until the lock is released, or the signal aborts", async () => {
  const held = tryFileLock(path, "exclusive");
  const stop = new AbortController();
  const stopped = fileLock(path, "shared", stop.signal);
  const waiting = fileLock(path, "shared");
  stop.abort(new Error("stopped"));
  await expect(stopped).rejects.toThrow("stopped");
  held?.[Symbol.dispose]();
  using lock = await waiting;
  expect(lock.fd).toBeGreaterThan(2);
});

test("locks of flock(2) are not those of fcntl(2)", () => {
  using _lock = tryFileLock(path, "exclusive");
  const fd = openSync(path, "r+");
  expect(isFileLocked(fd)).toBe(false);
  closeSync(fd);
});

test("a lock whose descriptor a child keeps for a moment counts as unused, and one that is kept does not", async () => {
  const held = tryFileLock(path, "shared");
  const child = Bun.spawn(["sleep", "0.03"], { stdio: ["ignore", "ignore", "ignore", held?.fd ?? 0] });
  held?.[Symbol.dispose]();
  expect(tryFileLock(path, "exclusive")).toBeUndefined();
  using lock = await unusedFileLock(path);
  expect(lock).toBeDefined();
  expect(await unusedFileLock(path)).toBeUndefined();
  await child.exited;
});
