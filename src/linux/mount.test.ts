import { describe, expect, test } from "bun:test";
import { mountPoints, parseMountPoints, parseMounts, readMounts } from "./mount";

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

test("the points below a directory", () => {
  const lines = [
    "22 27 0:21 / /a rw - proc proc rw",
    "23 27 0:21 / /a/b\\040c rw shared:1 - tmpfs none rw",
    "",
    "nonsense",
  ];
  const points = (text: string, prefix: string) => parseMountPoints(Buffer.from(text), prefix);
  expect(points(`${lines.join("\n")}\n`, "/a/")).toEqual(["/a/b c"]);
  expect(points(lines.join("\n"), "/a/b c")).toEqual(["/a/b c"]);
  expect(points(lines.join("\n"), "")).toEqual(["/a", "/a/b c"]);
  // Such texts in other fields: the root of a mount, and its source.
  expect(points("24 27 0:21 /a/x /c rw - tmpfs /a/y rw\n25 27 0:21 / /a/z rw - tmpfs none rw", "/a/")).toEqual([
    "/a/z",
  ]);
  expect(mountPoints()).toEqual(readMounts().map(({ path }) => path));
});

test("this process sees its /proc", () => {
  expect(readMounts().some((mount) => mount.path === "/proc" && mount.type === "proc")).toBe(true);
});
