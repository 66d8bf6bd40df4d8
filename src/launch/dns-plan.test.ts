import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { DNSConfigSchema } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { type HostsPlan, hostsText, resolvConf, resolverRequest } from "./dns-plan";

const NONE = { dns_servers: [], dns_search_domains: [], dns_options: [] };
const OWN = { ...NONE, dns_servers: ["192.0.2.53"] };

test("without a dns block and options there is no file", () => {
  for (const block of [undefined, create(DNSConfigSchema, {})]) {
    expect(resolvConf(resolverRequest(block, NONE), "nameserver 192.0.2.1\n")).toBeUndefined();
  }
});

test("a dns block takes precedence over the options, as with the Docker driver", () => {
  const block = create(DNSConfigSchema, { servers: ["192.0.2.1"] });
  expect(resolverRequest(block, OWN)?.servers).toEqual(["192.0.2.1"]);
  expect(resolverRequest(create(DNSConfigSchema, {}), OWN)?.servers).toEqual(["192.0.2.53"]);
});

const BASE = "nameserver 192.0.2.1\nsearch client.example\noptions edns0\n";

test.each([
  [
    { dns_servers: ["192.0.2.53", "2001:db8::53"] },
    "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch client.example\noptions edns0\n",
  ],
  [{ dns_search_domains: ["a.example", "b"] }, "nameserver 192.0.2.1\nsearch a.example b\noptions edns0\n"],
  [{ dns_options: ["ndots:2", "rotate"] }, "nameserver 192.0.2.1\nsearch client.example\noptions ndots:2 rotate\n"],
])("%j and the client's for the rest", (asked, text) => {
  expect(resolvConf(resolverRequest(undefined, { ...NONE, ...asked }), BASE)).toBe(text);
});

test("servers, searches and options are written as lines", () => {
  const dns = create(DNSConfigSchema, {
    servers: ["192.0.2.1", "2001:db8::1"],
    searches: ["a", "b"],
    options: ["ndots:2"],
  });
  expect(resolvConf(dns, "nameserver 192.0.2.9\n")).toBe(
    "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a b\noptions ndots:2\n",
  );
});

test("a line break in a value is rejected", () => {
  expect(() => resolvConf(create(DNSConfigSchema, { servers: ["192.0.2.1\noptions x"] }), "")).toThrow("line break");
});

const PRIVATE: HostsPlan = { names: ["web"], addresses: [], extra: [], base: "", replaces: false, wanted: false };
const HOST = { ...PRIVATE, base: "127.0.0.1 localhost\n192.0.2.9 client\n" };
const GROUP = { ...PRIVATE, names: ["group", "web"], addresses: ["192.0.2.5"], replaces: true };
const EXTRA = { ...PRIVATE, wanted: true, extra: [{ name: "db", address: "192.0.2.7" }] };
const DOMAIN = { ...PRIVATE, wanted: true, qualified: true, names: ["web.example", "web"] };
const STORED = { text: "", keep: false };
const MADE = { text: "::1 localhost\n192.0.2.8 own\n", keep: false };
const PLAIN = { ...MADE, keep: true };

test.each([
  ["a stored image", PRIVATE, STORED, ["10.0.0.2"], "10.0.0.2 web"],
  ["a stored image whose address comes later", PRIVATE, STORED, [], "127.0.1.1 web"],
  ["the host's network", HOST, STORED, [], "192.0.2.9 client\n127.0.1.1 web"],
  ["a group's network", GROUP, STORED, [], "192.0.2.5 group web"],
  ["a root made on a directory with a file", PRIVATE, MADE, [], "192.0.2.8 own\n127.0.1.1 web"],
  ["the same in the host's network", HOST, MADE, [], "192.0.2.8 own\n127.0.1.1 web"],
  ["a plain directory with a file, and further names", EXTRA, PLAIN, [], "192.0.2.8 own\n127.0.1.1 web\n192.0.2.7 db"],
  [
    "a plain directory with a file, and a domain",
    DOMAIN,
    PLAIN,
    [],
    "127.0.1.1 web.example web\n::1 localhost\n192.0.2.8 own",
  ],
  ["a plain directory with a file in a group", GROUP, PLAIN, [], "192.0.2.5 group web"],
])("/etc/hosts of %s", (_case, plan, image, addresses, expected) => {
  expect(hostsText(plan, image, addresses)).toEndWith(`${expected}\n`);
});

test("a plain directory keeps its own file, and nothing of it is left in a group's network", () => {
  expect(hostsText(PRIVATE, PLAIN, ["10.0.0.2"])).toBeUndefined();
  expect(hostsText(HOST, PLAIN, [])).toBeUndefined();
  expect(hostsText(GROUP, PLAIN, [])).not.toContain("own");
});
