import { expect, test } from "bun:test";
import type { Group } from "./groups";
import type { Level } from "./levels";
import { type FirstRun, secondRuns, takeBack } from "./second-run";

const level = (name: string): Level => ({
  name,
  paths: ["test/a"],
  without: ["test/a/x.test.ts"],
  place: "host",
  seconds: 1,
});
const group = (name: string): Group => ({
  name,
  place: "host",
  suite: "trixie",
  levels: [level("one"), level("two")],
});
const host = group("host");
const first = (change: Partial<FirstRun>): FirstRun => ({
  group: host,
  level: level("one"),
  failed: 0,
  failedFiles: [],
  ...change,
});

test("only the files that failed run once more, in a machine of their own", () => {
  const failed = first({ level: level("two"), failed: 3, failedFiles: ["test/a/b.test.ts", "test/a/c.test.ts"] });
  const runs = secondRuns([first({}), failed, first({ group: group("other") })]);
  expect(runs).toEqual([
    {
      group: {
        ...{ ...host, name: "host once more" },
        levels: [{ name: "two once more", paths: failed.failedFiles, place: "host", seconds: 1 }],
      },
      first: [failed],
    },
  ]);
});

test.each([
  ["nothing failed", [first({})]],
  ["a level that did not run to its end", [first({ failed: 1 })]],
  [
    "more files than a disturbance breaks",
    [first({ failed: 6, failedFiles: ["a", "b", "c", "d", "e", "f"].map((name) => `${name}.test.ts`) })],
  ],
])("no second run: %s", (_, runs) => {
  expect(secondRuns(runs)).toEqual([]);
});

test("what did not come back has passed", () => {
  expect(takeBack({ passed: 5, failed: 3, skipped: 1 }, 2)).toEqual({ passed: 7, failed: 1, skipped: 1 });
});
