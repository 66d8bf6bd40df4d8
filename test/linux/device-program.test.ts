import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { deviceProgram } from "../../src/linux/cgroup/device-program";
import { attachDeviceProgram } from "../../src/linux/cgroup/devices";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { removeEmpty } from "../../src/linux/cgroup/manager";
import { attempt, run } from "../../tools/command";

/** The BPF program that confines devices in a v2 tree, tested by the kernel in a separate cgroup. */

let directory: string;
beforeAll(async () => {
  directory = mkdtempSync("/var/tmp/device-program-");
  for (const [name, minor] of [
    ["null", 3],
    ["zero", 5],
    ["kmsg", 11],
  ]) {
    await run(["mknod", "--mode=666", join(directory, String(name)), "c", "1", String(minor)]);
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const tried = `
echo $$ > "$1/cgroup.procs" && cd "$2" || exit
for name in null zero kmsg; do
  (: < $name) 2>&- && echo $name r
  (: > $name) 2>&- && echo $name w
done
mknod made c 1 3 2>&- && echo made && rm made
:`;

/** What a process may do with the three nodes in a cgroup with these rules. */
async function possible(rules: readonly string[]): Promise<string[]> {
  const { unified } = readCgroupLayout();
  expect(unified).toBeDefined();
  const group = join(unified?.path ?? "", `device-program-${process.pid}`);
  mkdirSync(group);
  try {
    expect(attachDeviceProgram(group, deviceProgram(rules))).toBe(true);
    const { stdout } = await attempt(["/bin/sh", "-c", tried, "sh", group, directory]);
    return stdout.split("\n").filter((line) => line !== "");
  } finally {
    expect(removeEmpty(group)).toBe(true);
  }
}

describe("a cgroup's devices", () => {
  test.each([
    ["nothing", [], []],
    ["one device", ["c 1:3 rw"], ["null r", "null w"]],
    ["one that may be made", ["c 1:3 rwm"], ["null r", "null w", "made"]],
    ["reading", ["c 1:3 r"], ["null r"]],
    ["writing", ["c 1:3 w", "c 1:5 r"], ["null w", "zero r"]],
    ["a major number", ["c 1:* rw"], ["null r", "null w", "zero r", "zero w", "kmsg r", "kmsg w"]],
    ["another kind", ["b 1:* rwm"], []],
    ["another major number", ["c 2:3 rwm", "c 136:* rw"], []],
    ["the second of two rules", ["c 1:3 r", "c 1:3 w"], ["null r", "null w"]],
  ] as const)("%s", async (_name, rules, expected) => {
    expect(await possible(rules)).toEqual([...expected]);
  });
});

test("an invalid rule is an error of the driver", () => {
  expect(() => deviceProgram(["c 1:3"])).toThrow("is not a device rule");
});
