import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  addressBytes,
  addressOfBytes,
  formatAddress,
  formatSubnet,
  isLocal,
  networkOf,
  overlaps,
  parseAddress,
  parseSubnet,
} from "./ip";

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
