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

test("/etc/hosts of a group's network", () => {
  expect(hostsFile(["172.26.64.2"], ["web", "nomad-1234", "web"])).toBe(
    "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n172.26.64.2 web nomad-1234\n",
  );
  expect(hostsFile(["172.26.64.2", "fd00::2"], ["web"])).toContain("172.26.64.2 web\nfd00::2 web\n");
});

test.each([
  ["172.26.64.2", "we b"],
  ["172.26.64.2", "web\n192.0.2.1 other"],
  ["172.26.64", "web"],
])("rejects %p and %p", (address, name) =>
  expect(() => hostsFile([address], [name])).toThrow(/not a valid address or host name/),
);
