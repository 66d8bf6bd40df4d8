import { expect, test } from "bun:test";
import { closeSync, readdirSync, readlinkSync } from "node:fs";
import { openUserNamespace } from "../../src/linux/user-namespace";

test("creates a user namespace of its own, and leaves nothing else behind", async () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  for (let round = 0; round < 3; round += 1) {
    const fd = await openUserNamespace(65_536, 65_536);
    expect(fd).toBeDefined();
    if (fd === undefined) return;
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toMatch(/^user:/);
    expect(readlinkSync(`/proc/self/fd/${fd}`)).not.toBe(readlinkSync("/proc/self/ns/user"));
    closeSync(fd);
  }
  await Bun.sleep(50);
  expect(open()).toBeLessThanOrEqual(before + 1);
});
