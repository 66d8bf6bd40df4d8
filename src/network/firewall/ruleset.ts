/**
 * Packet filter rules for private networks: forwarded ports, masquerading of containers' packets, and a guard that drops what arrives
 * from a container for the host's loopback addresses. All rules are in one nftables table of the driver; no rule of another program is
 * read or changed. The *ruleset* is a pure function of the records of all private networks (this file); nftables.ts applies it in one
 * transaction through nft(8), and only if it differs from the rules in force; rule-reconciler.ts restores it when another program flushes
 * the host's rules.
 *
 * forwarding.ts has what forwarded ports need besides: it makes them reachable at the host's own 127.0.0.1, and deletes the kernel's memory
 * of flows (*conntrack*) that would still go to an earlier container.
 */

import {
  type Family,
  formatAddress,
  formatSubnet,
  networkOf,
  parseAddress,
  parseSubnet,
  type Subnet,
} from "../../values/ip";
import { isBridgeName } from "../../values/names";
import type { PortForward } from "../network";
import type { NetworkRecord } from "../private/records";

/** The driver's own table; nothing outside of it is read or changed. */
export const TABLE_NAME = "nomad-nspawn";

/** Removes the table, if it exists. */
export const NO_RULES = `table inet ${TABLE_NAME}\ndelete table inet ${TABLE_NAME}\n`;

const FAMILIES = [4, 6] as const;
const keyword = { 4: "ip", 6: "ip6" } as const satisfies Record<Family, string>;
const loopback = { 4: "127.0.0.1", 6: "::1" } as const satisfies Record<Family, string>;
const loopbackNetwork = { 4: "127.0.0.0/8", 6: "::1/128" } as const satisfies Record<Family, string>;

/** A port of a container at the moment. Only text of nftInterface(), nftAddress() and nftPort() goes into its rules. */
interface Target {
  /** The host's address it is bound to; undefined for any. */
  readonly hostAddress: string | undefined;
  readonly hostPort: string;
  readonly containerPort: string;
  readonly container: Subnet;
  /** Its packets arrive through a bridge. */
  readonly bridged: boolean;
}

/**
 * The packet filter rules for all containers as a script for nft(8), which takes effect atomically. "" if no rules are
 * needed.
 *
 * Forwarded ports are kept in maps, so that a packet is matched as fast with a thousand ports as with one. They forward from the host's
 * addresses, for packets of other hosts and of the host itself. The host's 127.0.0.1 and ::1 forward every port as well, unless another
 * container's port is bound there. Answers to a sender in the container's own network have to return through this host, so such packets
 * are masqueraded; so are those that a container sends from a network that only this host knows.
 *
 * @param host `bridgesAreFiltered`: whether bridged packets pass the IPv6 rules (bridge-nf-call-ip6tables). Then answers to ::1 have their
 *   destination restored when they leave the bridge, and the kernel drops them like all packets sent to ::1 from outside.
 */
export function rules(all: readonly NetworkRecord[], host: { readonly bridgesAreFiltered: boolean }): string {
  const records = all.toSorted((one, other) => other.since - one.since);
  const targets = records.flatMap(targetsOf);
  const given = records.flatMap(({ given: plan }) => [plan?.ipv4?.container, plan?.ipv6?.container]);
  const networks = unique(given.flatMap((text) => (text === undefined ? [] : (parseSubnet(text) ?? []))).map(network));
  if (targets.length === 0 && networks.length === 0) return "";
  const bridges = unique(
    records.flatMap(({ link, bridge }) => (link === "bridge" && bridge !== undefined ? [bridge] : [])),
  );
  return [
    `table inet ${TABLE_NAME}`,
    `delete table inet ${TABLE_NAME}`,
    `table inet ${TABLE_NAME} {`,
    ...chain("guard", "type filter hook prerouting priority raw", guard(targets.length === 0 ? [] : bridges)),
    ...chain(
      "prerouting",
      "type nat hook prerouting priority dstnat",
      FAMILIES.flatMap((family) => hostAddressRules(targets, family)),
    ),
    ...chain("output", "type nat hook output priority -100", [
      ...FAMILIES.flatMap((family) => hostAddressRules(targets, family)),
      ...acceptLoopbackRules(targets, 4),
      ...acceptLoopbackRules(host.bridgesAreFiltered ? targets.filter(({ bridged }) => !bridged) : targets, 6),
    ]),
    ...chain("postrouting", "type nat hook postrouting priority srcnat", [
      ...FAMILIES.flatMap((family) => hairpins(targets, family)),
      ...FAMILIES.flatMap((family) => masquerade(networks, family)),
    ]),
    "}",
    "",
  ].join("\n");
}

function chain(name: string, hook: string, lines: readonly string[]): string[] {
  return lines.length === 0
    ? []
    : [`  chain ${name} {`, `    ${hook}; policy accept;`, ...lines.map((line) => `    ${line}`), "  }"];
}

/** Packets to loopback addresses may leave the host through a container's link (see forwarding.ts), and must never come in through it. */
function guard(bridges: readonly string[]): string[] {
  const names = bridges.flatMap((name) => nftInterface(name) ?? []);
  return ['"ve-*"', '"vb-*"', '"vz-*"', ...names].flatMap((name) =>
    FAMILIES.map((family) => `iifname ${name} ${keyword[family]} daddr ${loopbackNetwork[family]} drop`),
  );
}

/** Rules for the host's addresses: those a port is bound to, or any. */
function hostAddressRules(targets: readonly Target[], family: Family): string[] {
  const own = targets.filter(({ container }) => container.family === family);
  const bound = own.filter(({ hostAddress }) => hostAddress?.includes(":") === (family === 6));
  const any = own.filter(({ hostAddress }) => hostAddress === undefined);
  const ip = keyword[family];
  return [
    ...dnatRule(`${ip} daddr . meta l4proto . th dport`, family, bound, ({ hostAddress = "", hostPort }, protocol) =>
      [hostAddress, protocol, hostPort].join(" . "),
    ),
    ...dnatRule(`meta l4proto . th dport`, family, any, ({ hostPort }, protocol) => `${protocol} . ${hostPort}`, [
      "fib daddr type local",
      `${ip} daddr != ${loopbackNetwork[family]}`,
    ]),
  ];
}

/** Rules for the host's own loopback address: every port, except those that another container binds there. */
function acceptLoopbackRules(targets: readonly Target[], family: Family): string[] {
  const address = loopback[family];
  const own = targets.filter(({ container }) => container.family === family);
  const claimed = new Set(own.flatMap(({ hostAddress, hostPort }) => (hostAddress === address ? [hostPort] : [])));
  const ports = new Map<string, Target>();
  for (const target of own) {
    const { hostPort } = target;
    if (!claimed.has(hostPort) && !ports.has(hostPort)) ports.set(hostPort, target);
  }
  return dnatRule(
    "meta l4proto . th dport",
    family,
    [...ports.values()],
    ({ hostPort }, protocol) => `${protocol} . ${hostPort}`,
    [`${keyword[family]} daddr ${address}`],
  );
}

/** One rule with a map of all ports; empty without ports. */
function dnatRule(
  key: string,
  family: Family,
  targets: readonly Target[],
  keyOf: (target: Target, protocol: string) => string,
  conditions: readonly string[] = [],
): string[] {
  if (targets.length === 0) return [];
  const elements = new Map<string, string>();
  for (const target of targets) {
    const { container, containerPort } = target;
    for (const protocol of ["tcp", "udp"]) {
      const from = keyOf(target, protocol);
      // A container that is about to be removed may still have a port that Nomad has assigned again.
      if (!elements.has(from)) elements.set(from, `${from} : ${formatAddress(container)} . ${containerPort}`);
    }
  }
  const map = `{ ${[...elements.values()].join(", ")} }`;
  return [[...conditions, "meta l4proto { tcp, udp }", `dnat ${keyword[family]} to ${key} map ${map}`].join(" ")];
}

/** Answers must return the way the request came. */
function hairpins(targets: readonly Target[], family: Family): string[] {
  const containers = unique(
    targets.filter(({ container }) => container.family === family).map(({ container }) => formatSubnet(container)),
  );
  const ip = keyword[family];
  return containers.flatMap((text) => {
    const container = parseSubnet(text);
    if (container === undefined) return [];
    const sources = `{ ${loopbackNetwork[family]}, ${network(container)} }`;
    return [`ct status dnat ${ip} saddr ${sources} ${ip} daddr ${formatAddress(container)} masquerade`];
  });
}

function masquerade(networks: readonly string[], family: Family): string[] {
  const own = networks.filter((text) => parseSubnet(text)?.family === family);
  if (own.length === 0) return [];
  const set = `{ ${own.join(", ")} }`;
  return [`${keyword[family]} saddr ${set} ${keyword[family]} daddr != ${set} masquerade`];
}

function targetsOf({ link, ports, targets }: NetworkRecord): Target[] {
  const subnets = targets.flatMap((text) => parseSubnet(text) ?? []);
  return ports.flatMap((forward) =>
    FAMILIES.flatMap((family) => {
      const container = subnets.find((subnet) => subnet.family === family);
      return container === undefined ? [] : targetOf(forward, container, link !== "veth");
    }),
  );
}

/** Empty if a port or address is invalid. */
function targetOf(forward: PortForward, container: Subnet, bridged: boolean): Target[] {
  const [hostPort, containerPort] = [nftPort(forward.hostPort), nftPort(forward.containerPort)];
  if (hostPort === undefined || containerPort === undefined) return [];
  const base = { hostPort, containerPort, container, bridged };
  if (forward.hostAddress === undefined) return [{ ...base, hostAddress: undefined }];
  const hostAddress = nftAddress(forward.hostAddress, 4) ?? nftAddress(forward.hostAddress, 6);
  return hostAddress === undefined ? [] : [{ ...base, hostAddress }];
}

function network(subnet: Subnet): string {
  return formatSubnet(networkOf(subnet));
}

function unique<Item>(items: readonly Item[]): Item[] {
  return [...new Set(items)];
}

/**
 * The values of a record that go into nft(8) rules, as text: nothing else of it does. nft takes a quoted name literally except
 * for a final asterisk, and has no escapes: what is not plainly a name, an address or a port is left out, and the rule with it.
 */

/** An interface's name, in quotes; undefined if a rule cannot contain it. */
export function nftInterface(name: string): string | undefined {
  return isBridgeName(name) ? `"${name}"` : undefined;
}

/** An address in the notation of its family; undefined for anything else. */
export function nftAddress(text: string, family: Family): string | undefined {
  const address = parseAddress(text);
  return address?.family === family ? formatAddress(address) : undefined;
}

/** A port number; undefined if it is not one. */
export function nftPort(port: number): string | undefined {
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? String(port) : undefined;
}
