import { expect, test } from "bun:test";
import { changesLimit, parseDiskUsage } from "./changes-limit";

test.each([
  ["2048\t/var/lib/x\n", 2_097_152],
  ["0\t/\n", 0],
  ["2048\t/a/upper\n4\t/a/parts\n", 2_101_248],
  ["", undefined],
  ["du: cannot access\n", undefined],
])("du prints %j: %j bytes", (text, bytes) => {
  expect(parseDiskUsage(text)).toBe(bytes);
});

test.each([
  [[], 1],
  [["/"], undefined],
])("%j with the limit %j is not measured", (directories, limit) => {
  expect(changesLimit(directories, limit)).toBeUndefined();
});

test("measures the blocks of a directory", async () => {
  const limit = changesLimit([import.meta.dir], 1);
  expect(await limit?.measure(new AbortController().signal)).toBeGreaterThan(4096);
});
