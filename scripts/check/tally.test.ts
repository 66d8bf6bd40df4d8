import { expect, test } from "bun:test";
import { add, failedFiles, lastLine, neverRan, slowestFiles, tallyOf, testNames } from "./tally";

const report = (tests: number, failures: number, skipped: number) =>
  `<?xml version="1.0"?>\n<testsuites name="bun test" tests="${tests}" assertions="9" failures="${failures}" skipped="${skipped}" time="0.1">\n<testsuite name="a" tests="99" failures="99"/></testsuites>`;

test.each([
  ["all well", report(5, 0, 0), 0, { passed: 5, failed: 0, skipped: 0 }],
  ["one failure", report(5, 1, 0), 1, { passed: 4, failed: 1, skipped: 0 }],
  ["skipped ones have not passed", report(5, 1, 2), 1, { passed: 2, failed: 1, skipped: 2 }],
  ["a file that could not be loaded", report(5, 0, 0), 1, { passed: 5, failed: 1, skipped: 0 }],
  ["no test at all", report(0, 0, 0), 0, { passed: 0, failed: 1, skipped: 0 }],
  ["everything skipped", report(3, 0, 3), 0, { passed: 0, failed: 1, skipped: 3 }],
  ["no report", undefined, 0, { passed: 0, failed: 1, skipped: 0 }],
])("%s", (_, text, exitCode, expected) => {
  expect(tallyOf(text, exitCode)).toEqual(expected);
});

test("a report names the tests that ran, and those that were skipped", () => {
  const text = `<testsuites tests="3"><testsuite name="a.test.ts" file="a.test.ts">
    <testcase name="a &quot;q&quot; &amp; &lt;b&gt;" classname="outer" time="0" file="a.test.ts" line="2">
      <skipped />
    </testcase>
    <testcase name="ok" classname="outer" time="0.1" file="a.test.ts" line="3" assertions="0" />
    <testcase name="bad" classname="" time="0.1" file="a.test.ts" line="4">
      <failure message="no" />
    </testcase>
  </testsuite></testsuites>`;
  expect(testNames(text)).toEqual({
    ran: ["a.test.ts: outer > ok", "a.test.ts:  > bad"],
    skipped: ['a.test.ts: outer > a "q" & <b>'],
  });
  expect(testNames(undefined)).toEqual({ ran: [], skipped: [] });
});

test("a report names the files that failed, and those that took longest", () => {
  const text = `<testsuites tests="3"><testsuite name="a.test.ts" file="a.test.ts" tests="2" time="1.5" hostname="h">
    <testsuite name="inner" file="a.test.ts" time="9">
      <testcase name="ok" classname="inner" time="1" file="a.test.ts" line="2" assertions="1" />
      <testcase name="bad" classname="inner" time="1" file="a.test.ts" line="3" assertions="1">
        <failure type="AssertionError" message="no">no</failure>
      </testcase>
    </testsuite>
  </testsuite><testsuite name="b.test.ts" file="b.test.ts" tests="1" time="30.25" hostname="h">
    <testcase name="ok" classname="" time="30" file="b.test.ts" line="2" assertions="1" />
  </testsuite></testsuites>`;
  expect(failedFiles(text)).toEqual(["a.test.ts"]);
  expect(slowestFiles(text, 2)).toEqual([
    ["b.test.ts", 30.25],
    ["a.test.ts", 1.5],
  ]);
  expect([failedFiles(undefined), slowestFiles(undefined, 1)]).toEqual([[], []]);
});

test("a test that one level skips and another runs was run", () => {
  const here = { ran: ["a"], skipped: ["b", "c"] };
  expect(neverRan([here, { ran: ["b"], skipped: ["c"] }])).toEqual(["c"]);
  expect(neverRan([here, { ran: ["b", "c"], skipped: ["a"] }])).toEqual([]);
});

test("sums are printed in one line", () => {
  expect(lastLine(add({ passed: 2, failed: 1, skipped: 4 }, { passed: 3, failed: 0, skipped: 0 }))).toBe(
    "5 passed, 1 failed",
  );
});
