import { describe, expect, test } from "bun:test";
import { parseMounts, readMounts } from "./mount";

describe("parseMounts", () => {
  test.each([
    ["no optional fields", "22 27 0:21 / /proc rw,relatime - proc proc rw", ["/proc", "proc", "proc", "/"]],
    [
      "optional fields",
      "36 35 98:0 /a /b rw shared:1 master:2 - ext4 /dev/x rw,errors=continue",
      ["/b", "ext4", "/dev/x", "/a"],
    ],
    ["escapes", "36 35 98:0 / /a\\040b\\134c rw - tmpfs none rw", ["/a b\\c", "tmpfs", "none", "/"]],
  ] as const)("%s", (_, line, expected) => {
    const [mount] = parseMounts(`${line}\n`);
    expect([mount?.path, mount?.type, mount?.source, mount?.root]).toEqual([...expected]);
  });

  test("skips lines that are not mounts", () => expect(parseMounts("\nnonsense\n1 2 3 4 5 6\n")).toEqual([]));
});

test("this process sees its /proc", () => {
  expect(readMounts().some((mount) => mount.path === "/proc" && mount.type === "proc")).toBe(true);
});
