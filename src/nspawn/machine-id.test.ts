import { expect, test } from "bun:test";
import { hasMachineId, taskMachineId } from "./machine-id";

test("each task of each allocation has its own ID, and always the same", () => {
  const pairs = [
    ["web", "a"],
    ["web", "b"],
    ["db", "a"],
    ["we", "ba"],
  ] as const;
  const ids = pairs.map(([task, alloc]) => taskMachineId(task, alloc));
  expect(new Set(ids).size).toBe(pairs.length);
  expect(pairs.map(([task, alloc]) => taskMachineId(task, alloc))).toEqual(ids);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
});

test.each([
  ["", false],
  ["uninitialized", false],
  ["uninitialized\n", false],
  ["0123456789abcdef0123456789abcdef\n", true],
  ["01234567-89ab-cdef-0123-456789abcdef\n", true],
  ["\n", true],
  ["garbage", true],
])("%j is an ID: %p", (text, expected) => {
  expect(hasMachineId(text)).toBe(expected);
});
