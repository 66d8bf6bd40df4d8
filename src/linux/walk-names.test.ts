import { afterAll, expect, test } from "bun:test";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoCode } from "../lib/errors";
import { openByName } from "./walk-names";

const directory = mkdtempSync(join(tmpdir(), "walk-names-"));
mkdirSync(join(directory, "a/b"), { recursive: true });
writeFileSync(join(directory, "a/file"), "");
symlinkSync("a", join(directory, "link"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Where a walk ends, which components it checked, and the descriptors that it left open. */
function walk(names: readonly string[], stopAt = Infinity) {
  const before = readdirSync("/proc/self/fd").length;
  const checked: string[] = [];
  let end: string;
  try {
    const fd = openByName(directory, names, {
      at: (opened, index) => {
        checked.push(readlinkSync(`/proc/self/fd/${opened}`).slice(directory.length));
        if (index === stopAt) throw new Error("stopped");
      },
      failed: (error, index) => new Error(`${names[index]}: ${errnoCode(error)}`),
    });
    end = readlinkSync(`/proc/self/fd/${fd}`).slice(directory.length);
    closeSync(fd);
  } catch (error) {
    end = error instanceof Error ? error.message : "";
  }
  return { end, checked, leaked: readdirSync("/proc/self/fd").length - before };
}

test.each([
  [[], "", []],
  [["a"], "/a", ["/a"]],
  [["a", "b"], "/a/b", ["/a", "/a/b"]],
  [["a", "file"], "/a/file", ["/a", "/a/file"]],
  [["link"], "/link", ["/link"]],
  [["link", "b"], "b: ENOTDIR", ["/link"]],
  [["a", "missing", "b"], "missing: ENOENT", ["/a"]],
  [["a", "file", "b"], "b: ENOTDIR", ["/a", "/a/file"]],
])("%j ends at %s", (names, end, checked) => {
  expect(walk(names)).toEqual({ end, checked, leaked: 0 });
});

test("stops at a component that is refused", () => {
  expect(walk(["a", "b"], 0)).toEqual({ end: "stopped", checked: ["/a"], leaked: 0 });
});
