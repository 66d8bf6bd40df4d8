import { expect, test } from "bun:test";
import { ownerMapping } from "./user-namespace";

test.each<[string, Parameters<typeof ownerMapping>, readonly string[]]>([
  [
    "a container's range",
    [1_000_013_824, 65_536],
    ["0 1000013824 65536", "65536 65536 999948288", "1000079360 1000079360 3294887935"],
  ],
  ["the first range", [65_536, 65_536], ["0 65536 65536", "131072 131072 4294836223"]],
  ["the host's IDs", [0, 65_536], ["0 0 65536", "65536 65536 4294901759"]],
  ["a wider range", [700_000, 70_000], ["0 700000 70000", "70000 70000 630000", "770000 770000 4294197295"]],
  [
    "files that belong to another range",
    [1_310_720, 65_536, 655_360],
    ["655360 1310720 65536", "65536 65536 589824", "720896 720896 589824", "1376256 1376256 4293591039"],
  ],
  [
    "files that belong to the same range",
    [655_360, 65_536, 655_360],
    ["655360 655360 65536", "65536 65536 589824", "720896 720896 4294246399"],
  ],
])("%s", (_, [first, count, inside], lines) => {
  expect(ownerMapping(first, count, inside).trimEnd().split("\n")).toEqual([...lines]);
});
