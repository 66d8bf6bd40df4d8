import { expect, test } from "bun:test";
import { listedUnits, startingUnits, unitNames } from "./system-state";

test.each([
  ["", []],
  ["No jobs running.\n", []],
  [
    " 1 multi-user.target             start waiting\n62 slow.service                  start running\n",
    ["slow.service"],
  ],
  ["1 multi-user.target start waiting\n 7 old.service stop running\n", ["multi-user.target"]],
] as const)("units that are being started in %j", (jobs, units) => expect(startingUnits(jobs)).toEqual([...units]));

test("failed units, and a list of many of them", () => {
  expect(listedUnits("a.service loaded failed failed A\n  b.mount not-found failed failed b.mount\n\n")).toEqual([
    "a.service",
    "b.mount",
  ]);
  expect(unitNames(["a", "b"])).toBe("a, b");
  expect(unitNames(Array.from({ length: 10 }, (_, index) => `u${index}`))).toBe(
    "u0, u1, u2, u3, u4, u5, u6, u7 and 2 more",
  );
});
