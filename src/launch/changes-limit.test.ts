import { expect, test } from "bun:test";
import { changesLimit, parseDiskUsage } from "./changes-limit";

test.each([
  ["2048\t/var/lib/x\n", 2_097_152],
  ["0\t/\n", 0],
  ["", undefined],
  ["du: cannot access\n", undefined],
])("du prints %j: %j bytes", (text, bytes) => {
  expect(parseDiskUsage(text)).toBe(bytes);
});

test.each([
  [undefined, 1],
  ["/nonexistent/upper", 1],
  ["/", undefined],
])("%j with the limit %j is not measured", (directory, limit) => {
  expect(changesLimit(directory, limit)).toBeUndefined();
});

test("measures the blocks of a directory", async () => {
  const limit = changesLimit(import.meta.dir, 1);
  expect(await limit?.measure(new AbortController().signal)).toBeGreaterThan(4096);
});
