import { describe, expect, test } from "bun:test";
import type { NetworkPlan } from "../network/network";
import { checkBridge, checkInterfaces, checkNetworkPolicy } from "./network-policy";

const host: NetworkPlan = { kind: "host" };
const joined: NetworkPlan = { kind: "joined", path: "/var/run/netns/alloc" };
const own: NetworkPlan = { kind: "private", link: "veth", ports: [] };
const zone: NetworkPlan = { kind: "private", link: "zone", bridge: "vz-web", ports: [] };
const bridge = (name: string): NetworkPlan => ({ kind: "private", link: "bridge", bridge: name, ports: [] });
const policy = (bridges: readonly string[], allow_host_network = true) => ({
  network: { bridges: [...bridges], interfaces: [] },
  allow_host_network,
});

describe("checkNetworkPolicy", () => {
  test.each([
    ["the host's network by default", host, policy([])],
    ["any bridge by default", bridge("docker0"), policy([])],
    ["a bridge that is listed", bridge("br1"), policy(["br0", "br1"])],
    ["a bridge that matches a pattern", bridge("br-lan1"), policy(["br-lan*"])],
    ["zones beside an allow-list of bridges", zone, policy(["br0"])],
    ["a group's network", joined, policy(["br0"], false)],
    ["the task's own link", own, policy(["br0"], false)],
  ] as const)("allows %s", (_name, plan, allowed) => expect(() => checkNetworkPolicy(plan, allowed)).not.toThrow());

  test.each([
    ["the host's network", host, policy([], false), /allow_host_network = false/],
    ["another bridge", bridge("br2"), policy(["br0", "br1"]), /"br2".*network\.bridges.* allows "br0", "br1"\./],
    ["a name with the same beginning", bridge("br"), policy(["br0"]), /asks for "br"/],
    ["a zone's bridge by name", bridge("vz-web"), policy(["br0"]), /asks for "vz-web"/],
  ] as const)("refuses %s", (_name, plan, allowed, sentence) =>
    expect(() => checkNetworkPolicy(plan, allowed)).toThrow(sentence),
  );
});

test("accepts only bridges", () => {
  expect(() => checkBridge("br0", { kind: "bridge" })).not.toThrow();
  expect(() => checkBridge("lo", {})).toThrow(/"lo" names a network interface of this client that is not a bridge:/);
  expect(() => checkBridge("ve-x", { kind: "veth" })).toThrow(/not a bridge but of the kind "veth"/);
  expect(() => checkBridge("br9", undefined)).toThrow(/does not have: create it \(ip link add name br9 type bridge\)/);
});

test("interfaces of the client have to be allowed, and there", () => {
  const interfaces = (allowed: string[]) => ({ ...policy([]), network: { bridges: [], interfaces: allowed } });
  const wanted = (name: string) => [{ option: `network = "macvlan:${name}"`, name }];
  expect(() => checkInterfaces([], interfaces([]))).not.toThrow();
  expect(() => checkInterfaces(wanted("lo"), interfaces(["l*"]))).not.toThrow();
  expect(() => checkInterfaces(wanted("eth0"), interfaces([]))).toThrow(
    /"macvlan:eth0" asks for an interface of the client, which this client does not allow: network\.interfaces of .* allows nothing\./,
  );
  expect(() => checkInterfaces(wanted("no-such"), interfaces(["*"]))).toThrow(
    /names a network interface that this client does not have, or that another task uses: the client has .*lo/,
  );
});
