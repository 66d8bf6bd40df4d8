import { expect, test } from "bun:test";
import { deviceRules, majorOf, minorOf } from "./devices";

const groups = "Character devices:\n  1 mem\n136 pts\n137 pts\n\nBlock devices:\n  7 loop\n254 virtblk\n";
const numbers = (path: string) => (path === "/dev/fuse" ? "c 10:229" : undefined);

test.each([
  ["a node", "/dev/fuse", "rw", ["c 10:229 rw"]],
  ["a missing node", "/dev/kvm", "rw", []],
  ["numbers", "/dev/char/1:3", "r", ["c 1:3 r"]],
  ["numbers of a disk", "/dev/block/254:0", "rwm", ["b 254:0 rwm"]],
  ["a group", "char-pts", "rw", ["c 136:* rw", "c 137:* rw"]],
  ["any device", "char-*", "m", ["c *:* m"]],
  ["a group of disks", "block-loop", "rw", ["b 7:* rw"]],
  ["all groups", "char-*", "m", ["c *:* m"]],
  ["a missing group", "block-blkext", "rw", []],
] as const)("%s", (_name, path, permissions, expected) => {
  const without = deviceRules([], groups, numbers);
  expect(without).toContain("c 1:3 rwm");
  expect(deviceRules([{ path, permissions }], groups, numbers)).toEqual([...without, ...expected]);
});

test("the numbers of a device", () => {
  // makedev(254, 1), and makedev(4097, 65537), whose numbers need more bits than the old encoding has.
  expect([majorOf(0xfe01), minorOf(0xfe01)]).toEqual([254, 1]);
  const large = Number((0x1001n & 0xfffn) << 8n) + Number((0x1001n & 0xfffff000n) << 32n) + 1 + 0x10000 * 2 ** 12;
  expect([majorOf(large), minorOf(large)]).toEqual([0x1001, 0x10001]);
});
