import { expect, test } from "bun:test";
import { hostsFile, reachableResolvers } from "./dns";

test.each([
  [
    "# made by hand\nnameserver 192.0.2.53\n nameserver 2001:db8::53\nsearch example.org\noptions edns0\n",
    "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch example.org\noptions edns0\n",
  ],
  ["nameserver 127.0.0.53\noptions edns0 trust-ad\n", undefined],
  ["nameserver 127.0.0.1\nnameserver 192.0.2.53\n", "nameserver 192.0.2.53\n"],
  ["nameserver fe80::1%eth0\n", undefined],
  ["", undefined],
])("of %j a container can reach %j", (text, reachable) => expect(reachableResolvers(text)).toBe(reachable));

const LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
const DB = { name: "db", address: "192.0.2.7" };

test.each([
  ["a name once", ["172.26.64.2"], ["web", "nomad-1234", "web"], [], "", `${LOCALHOST}172.26.64.2 web nomad-1234\n`],
  ["each address", ["192.0.2.1", "fd00::2"], ["web"], [], "", `${LOCALHOST}192.0.2.1 web\nfd00::2 web\n`],
  ["an unknown address", [], ["web"], [], "", `${LOCALHOST}127.0.1.1 web\n`],
  ["further names", [], ["web"], [DB, DB], "", `${LOCALHOST}127.0.1.1 web\n192.0.2.7 db\n192.0.2.7 db\n`],
  ["a file without localhost", [], ["web"], [], "192.0.2.9 a", `${LOCALHOST}192.0.2.9 a\n127.0.1.1 web\n`],
  [
    "a file with some of the names",
    ["192.0.2.1"],
    ["web", "group"],
    [DB],
    "127.0.0.1\tlocalhost\n192.0.2.9 web # group\n",
    "127.0.0.1\tlocalhost\n192.0.2.9 web # group\n192.0.2.1 group\n192.0.2.7 db\n",
  ],
  [
    "a file that has the host name only, for a domain",
    [],
    ["web", "w"],
    [],
    "192.0.2.9 w\n",
    `${LOCALHOST}192.0.2.9 w\n127.0.1.1 web\n`,
  ],
  ["a file with all names", [], ["web"], [], "::1 localhost web\n", "::1 localhost web\n"],
])("/etc/hosts with %s", (_case, addresses, names, extra, existing, expected) => {
  expect(hostsFile({ addresses, names, extra }, existing)).toBe(expected);
});

test.each([
  ["172.26.64.2", "we b"],
  ["172.26.64.2", "web\n192.0.2.1 other"],
  ["172.26.64", "web"],
])("rejects %p and %p", (address, name) =>
  expect(() => hostsFile({ addresses: [address], names: [name], extra: [] })).toThrow(
    /not a valid address or host name/,
  ),
);
