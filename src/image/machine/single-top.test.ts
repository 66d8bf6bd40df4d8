import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { liftSingleTop } from "./single-top";

const scratch = mkdtempSync(join(tmpdir(), "single-top-"));
afterAll(() => rmSync(scratch, { recursive: true }));

test.each([
  ["a system in a directory", ["debian-13/usr/bin", "debian-13/etc"], ["etc", "usr"]],
  ["a system at the top", ["usr/bin", "etc"], ["etc", "usr"]],
  ["only usr", ["usr/usr"], ["usr"]],
  ["something else beside it", ["debian/usr", "other"], ["debian", "other"]],
  ["no system", ["data/files"], ["data"]],
  ["two levels", ["a/b/usr"], ["a"]],
  ["nothing", [], []],
])("%s", async (_, directories, expected) => {
  const tree = join(mkdtempSync(join(scratch, "case-")), "made");
  mkdirSync(tree);
  for (const path of directories) mkdirSync(join(tree, path), { recursive: true });
  await liftSingleTop(tree, join(tree, "../top"));
  expect(readdirSync(tree).toSorted()).toEqual(expected);
  expect(readdirSync(join(tree, ".."))).toEqual(["made"]);
});

test("a symlink or a file is left alone", async () => {
  const tree = join(mkdtempSync(join(scratch, "case-")), "made");
  mkdirSync(tree);
  symlinkSync("/", join(tree, "root"));
  await liftSingleTop(tree, join(tree, "../top"));
  rmSync(join(tree, "root"));
  writeFileSync(join(tree, "file"), "");
  await liftSingleTop(tree, join(tree, "../top"));
  expect(readdirSync(tree)).toEqual(["file"]);
});
