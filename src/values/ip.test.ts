import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  addressBytes,
  addressOfBytes,
  formatAddress,
  formatSubnet,
  freePosition,
  freeSubnet,
  interfaceAddressProblem,
  isLocal,
  linkAddresses,
  networkOf,
  overlaps,
  parseAddress,
  parseSubnet,
  peerAddress,
  type Subnet,
} from "./ip";

describe("ip", () => {
  const subnet = (text: string) => {
    const parsed = parseSubnet(text);
    if (parsed === undefined) throw new Error(`${text} is not a subnet`);
    return parsed;
  };

  describe("addresses", () => {
    test.each([
      ["10.1.2.3", "10.1.2.3"],
      ["0.0.0.0", "0.0.0.0"],
      ["::", "::"],
      ["::1", "::1"],
      ["fd00:0:0:1::2", "fd00:0:0:1::2"],
      ["FE80::0:1", "fe80::1"],
      ["::ffff:10.1.2.3", "::ffff:a01:203"],
      ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ])("%s is formatted as %s", (text, written) => {
      const address = parseAddress(text);
      expect(address === undefined ? undefined : formatAddress(address)).toBe(written);
    });

    test.each(["", "10.1.2", "10.1.2.256", "fe80::1%eth0", "::1/64", "localhost"])("%p is not an address", (text) => {
      expect(parseAddress(text)).toBeUndefined();
    });

    test("convert between text, number and bytes", () => {
      const address = fc.oneof(
        fc.record({ family: fc.constant(4 as const), value: fc.bigInt(0n, 2n ** 32n - 1n) }),
        fc.record({ family: fc.constant(6 as const), value: fc.bigInt(0n, 2n ** 128n - 1n) }),
      );
      fc.assert(
        fc.property(address, (given) => {
          expect(parseAddress(formatAddress(given))).toEqual(given);
          expect(addressOfBytes(addressBytes(given))).toEqual(given);
        }),
      );
    });
  });

  describe("subnets", () => {
    test.each([
      ["10.1.2.3/30", "10.1.2.0/30"],
      ["10.1.2.3/32", "10.1.2.3/32"],
      ["10.1.2.3/0", "0.0.0.0/0"],
      ["fd00::1:2/64", "fd00::/64"],
    ])("%s is in %s", (text, network) => expect(formatSubnet(networkOf(subnet(text)))).toBe(network));

    test.each([
      ["10.0.0.0/8", "10.1.2.0/24", true],
      ["10.1.2.0/24", "10.0.0.0/8", true],
      ["10.1.2.0/30", "10.1.2.4/30", false],
      ["0.0.0.0/0", "fd00::/8", false],
      ["fd00::/8", "fd12::/48", true],
    ] as const)("%s and %s overlap: %p", (one, other, both) => {
      expect(overlaps(subnet(one), subnet(other))).toBe(both);
    });

    test.each(["10.1.2.3", "10.1.2.3/33", "::/129", "/8", "x/8"])("%p is not a subnet", (text) => {
      expect(parseSubnet(text)).toBeUndefined();
    });
  });

  test.each([
    ["127.0.0.1", true],
    ["::1", true],
    ["fe80::1", true],
    ["169.254.1.1", true],
    ["10.0.0.1", false],
    ["fd00::1", false],
  ])("isLocal %s: %p", (text, expected) => {
    const address = parseAddress(text);
    expect(address !== undefined && isLocal(address)).toBe(expected);
  });
});

describe("subnets", () => {
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
  ])("the peer of %s is %s", (host, other) => expect(written(peerAddress(subnet(host)))).toBe(other));
});

test.each([
  ["192.0.2.10/24", 4, undefined],
  ["192.0.2.10/31", 4, undefined],
  ["192.0.2.10", 4, "with the length of its network"],
  ["2001:db8::1/64", 4, "it must be an IPv4 address"],
  ["192.0.2.0/24", 4, "it must be the address of one host"],
  ["192.0.2.255/24", 4, "it must be the address of one host"],
  ["224.0.0.1/24", 4, "it must be the address of one host"],
  ["127.0.0.2/8", 4, "that other hosts can reach"],
  ["2001:db8::10/64", 6, undefined],
  ["fe80::1/64", 6, "that other hosts can reach"],
  ["ff02::1/64", 6, "it must be the address of one host"],
] as const)("whether %s can be the address of an interface, IPv%i", (text, family, problem) => {
  const found = interfaceAddressProblem(text, family);
  if (problem === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(problem);
});
