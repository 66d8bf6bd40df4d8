import { describe, expect, test } from "bun:test";
import { formatSubnet, networkOf, parseSubnet, type Subnet } from "./ip";
import { freePosition, freeSubnet, linkAddresses, neighbour } from "./subnets";

const subnet = (text: string): Subnet => {
  const parsed = parseSubnet(text);
  if (parsed === undefined) throw new Error(`${text} is not a subnet`);
  return parsed;
};
const written = (found: Subnet | undefined) => (found === undefined ? undefined : formatSubnet(found));

describe("freeSubnet", () => {
  const pool = subnet("10.213.0.0/16");

  test("depends on the name, and is reproducible", () => {
    const first = freeSubnet(pool, 30, "web", []);
    expect(written(freeSubnet(pool, 30, "web", []))).toBe(written(first));
    expect(written(freeSubnet(pool, 30, "db", []))).not.toBe(written(first));
  });

  test("avoids networks in use, larger or smaller", () => {
    const small = subnet("10.213.0.0/29");
    for (const used of ["10.213.0.0/31", "10.213.0.3/32", "0.0.0.0/2"]) {
      const found = freeSubnet(small, 30, "x", [subnet(used)]);
      expect(written(found)).toBe(used === "0.0.0.0/2" ? undefined : "10.213.0.4/30");
    }
  });

  test("assigns each a different one until none is left", () => {
    const used: Subnet[] = [];
    for (let count = 0; count < 64; count += 1) {
      const found = freeSubnet(subnet("10.213.0.0/24"), 30, `task ${count}`, used);
      if (found === undefined) throw new Error(`only ${count} were found`);
      expect(used.map(written)).not.toContain(written(found));
      used.push(found);
    }
    expect(freeSubnet(subnet("10.213.0.0/24"), 30, "one more", used)).toBeUndefined();
  });

  test("works for IPv6 as well", () => {
    const found = freeSubnet(subnet("fd12:3456:789a::/48"), 64, "web", []);
    expect(written(found)).toMatch(/^fd12:3456:789a:[0-9a-f:]*::\/64$/);
  });
});

test("the two ends of a link", () => {
  expect(linkAddresses(subnet("10.213.0.4/30"), 2n)).toEqual({ host: "10.213.0.5/30", container: "10.213.0.6/30" });
  expect(linkAddresses(subnet("fd00:0:0:5::/64"), 2n)).toEqual({
    host: "fd00:0:0:5::1/64",
    container: "fd00:0:0:5::2/64",
  });
});

test.each([
  [[], 2n],
  [["10.0.0.2/29", "10.0.0.3/29", "10.0.0.5/29"], 4n],
  [["10.0.0.2/29", "10.0.0.3/29", "10.0.0.4/29", "10.0.0.5/29", "10.0.0.6/29"], undefined],
])("freePosition beside %j: %p", (taken, position) => {
  expect(freePosition(networkOf(subnet("10.0.0.0/29")), taken.map(subnet))).toBe(position);
});

test.each([
  ["192.168.7.1/28", "192.168.7.2/28"],
  ["192.168.7.2/28", "192.168.7.3/28"],
  ["192.168.7.1/32", undefined],
])("the peer of %s is %s", (host, other) => expect(written(neighbour(subnet(host)))).toBe(other));
