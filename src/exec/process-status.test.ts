import { expect, test } from "bun:test";
import { hostId, parseRights } from "./process-status";

const status = `Name:\tsleep
NSpid:\t12667\t1
CapInh:\t00000000f5ecabff
CapPrm:\t00000000f5ecabff
CapEff:\t0000000000000000
CapBnd:\t000001ffffffffff
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t5
`;

test("parseRights", () => {
  expect(parseRights(status)).toEqual({
    bounding: 0x1ffffffffffn,
    inheritable: 0xf5ecabffn,
    permitted: 0xf5ecabffn,
    noNewPrivileges: true,
    filters: 5,
  });
  expect(parseRights(status.replace(/Seccomp_filters.*\n/, "")).filters).toBe(1);
  expect(parseRights(status.replace("Seccomp:\t2", "Seccomp:\t0").replace(/Seccomp_filters.*\n/, "")).filters).toBe(0);
  expect(() => parseRights("Name:\tsleep\n")).toThrow("has no Cap");
});

test.each([
  ["         0          0 4294967295\n", 5, 5],
  ["         0  363462656      65536\n", 1000, 363463656],
  ["         0  363462656      65536\n", 65536, undefined],
  ["0 100 10\n10 500 10\n", 12, 502],
  ["", 0, undefined],
])("in %j, ID %d is %p on the host", (map, id, expected) => expect(hostId(map, id)).toBe(expected));
