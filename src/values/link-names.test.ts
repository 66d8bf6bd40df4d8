import { expect, test } from "bun:test";
import { macProblem } from "./link-names";

test.each([
  ["02:00:5e:10:00:01", undefined],
  ["AA:bb:cc:dd:ee:ff", undefined],
  ["02:00:5e:10:00", "six bytes"],
  ["02-00-5e-10-00-01", "six bytes"],
  ["03:00:5e:10:00:01", "the address of one interface"],
  ["ff:ff:ff:ff:ff:ff", "the address of one interface"],
  ["00:00:00:00:00:00", "the address of one interface"],
])("%s", (mac, problem) => {
  if (problem === undefined) expect(macProblem(mac)).toBeUndefined();
  else expect(macProblem(mac)).toContain(problem);
});
