import { expect, test } from "bun:test";
import { leavingOut, levels, pathsOf, upgradeTests } from "./levels";

test("every level has tests, and leaves out only files that it has", () => {
  expect(levels.filter((level) => pathsOf(level).length === 0)).toEqual([]);
});

test("a clone without the repository's history has every test but those of upgrades", () => {
  const left = levels.flatMap((level) => pathsOf(leavingOut(level, upgradeTests)));
  expect(left.filter((path) => upgradeTests.some((each) => each === path))).toEqual([]);
  expect(left).toContain("test/nomad/jobs.test.ts");
  expect(left).toContain("test/protocol/faults.test.ts");
});

test("what a level leaves out already is not named twice", () => {
  const [first] = levels;
  if (first === undefined) throw new Error("There are no levels.");
  const file = "scripts/check/levels.test.ts";
  const once = leavingOut(first, [file]);
  expect(leavingOut(once, [file])).toEqual(once);
  expect(pathsOf(once)).not.toContain(file);
});
