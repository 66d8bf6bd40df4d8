import { expect, test } from "bun:test";
import type { Route } from "../../linux/netlink/route";
import { parseAddress, parseSubnet } from "../../values/ip";
import { routesVia } from "./link";

const route = (text: string, index: number, outward = true): Route => {
  const destination = parseSubnet(text);
  if (destination === undefined) throw new Error(`${text} is not a subnet`);
  return { destination, index, outward, advertised: false };
};
const uplink = 2;
const link = 7;
const routes = [
  route("0.0.0.0/0", uplink),
  route("192.0.2.0/24", uplink),
  route("10.213.0.0/30", link),
  route("10.213.0.1/32", link, false),
  route("10.213.0.3/32", link, false),
  route("fd00::/64", link),
];

test.each([
  ["10.213.0.2", true],
  ["fd00::2", true],
  ["10.213.0.1", false],
  ["10.213.0.3", false],
  ["192.0.2.9", false],
  ["198.51.100.1", false],
  ["2001:db8::1", false],
])("packets to %s leave through the link: %p", (text, expected) => {
  const address = parseAddress(text);
  expect(address !== undefined && routesVia(routes, address, link)).toBe(expected);
});
