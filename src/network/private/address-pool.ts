import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { PluginOptions } from "../../config/plugin/options";
import { ConfigError } from "../../lib/errors";
import { defined } from "../../lib/objects";
import { readCgroupLayout } from "../../linux/cgroup/layout";
import { Links } from "../../linux/netlink/route";
import { hasIpv6 } from "../../linux/sysctl";
import { networkdRuns } from "../../systemd/networkd";
import {
  formatSubnet,
  freePosition,
  freeSubnet,
  type LinkAddresses,
  linkAddresses,
  networkOf,
  networkSizes,
  overlaps,
  parseSubnet,
  type Subnet,
} from "../../values/ip";
import type { PrivateNetwork } from "../network";
import type { NetworkRecord } from "./records";

const MACHINE_ID = "/etc/machine-id";

/** The pools from which the driver assigns addresses. */
export type AddressPools = PluginOptions["network"];

/** The defaults, in order: the next one is used if the host uses one already. */
const DEFAULT_POOLS = ["10.213.0.0/16", "172.30.208.0/20", "192.168.208.0/20"] as const;

type Given = NonNullable<NetworkRecord["given"]>;

/** The record of a container that is about to start, with addresses if the driver assigns them. */
export function createRecord(
  machine: string,
  { link, bridge, ports, own }: PrivateNetwork,
  pools: AddressPools,
  others: readonly NetworkRecord[],
): NetworkRecord {
  const requested = link === "zone" && own !== undefined && own.addresses.length > 0 ? own.addresses : undefined;
  const base = { machine, link, ...defined({ bridge, requested, mac: own?.mac }), ports, since: Date.now() };
  // If systemd-networkd runs, whether it serves the link is known only when the link exists.
  if (link === "bridge" || (requested === undefined && networkdRuns(readCgroupLayout())))
    return { ...base, addresses: [], targets: [] };
  const given = chooseAddresses({ ...base, addresses: [], targets: [] }, pools, others);
  return withAddresses(base, given);
}

/** Addresses for a container's link that are unused on this host, as far as any are left. @param others the other containers' records */
export function chooseAddresses(record: NetworkRecord, pools: AddressPools, others: readonly NetworkRecord[]): Given {
  using links = new Links();
  const used = [
    ...links.routes().flatMap(({ destination }) => (destination.prefix === 0 ? [] : [destination])),
    ...links.addresses().map(({ address }) => networkOf(address)),
    ...others.flatMap(({ given }) => containerAddresses(given).flatMap((text) => parseSubnet(text) ?? [])),
  ];
  const beside = record.link === "zone" ? others.filter(({ bridge }) => bridge === record.bridge) : [];
  const choose = (candidates: readonly string[], family: 4 | 6): LinkAddresses | undefined => {
    const zone = beside.flatMap(({ given }) => given?.[family === 4 ? "ipv4" : "ipv6"] ?? []);
    const asked = record.requested?.flatMap((text) => parseSubnet(text) ?? []).find((one) => one.family === family);
    if (asked !== undefined) return requestedAddresses(asked, zone, used);
    const known = parseSubnet(zone[0]?.host ?? "");
    const size = networkSizes[record.link === "zone" ? "zone" : "veth"][family];
    const name = record.bridge ?? record.machine;
    const network = known === undefined ? firstFree(candidates, size, name, used) : networkOf(known);
    const taken = zone.flatMap(({ container }) => parseSubnet(container) ?? []);
    const position = network === undefined ? undefined : freePosition(network, taken);
    return network === undefined || position === undefined ? undefined : linkAddresses(network, position);
  };
  const ipv4 = choose(pools.ipv4_pool === undefined ? DEFAULT_POOLS : [pools.ipv4_pool], 4);
  const ipv6 = hasIpv6() ? choose([pools.ipv6_pool ?? localPool()], 6) : undefined;
  return defined({ ipv4, ipv6 });
}

/**
 * The addresses of a container in a zone whose job asks for one.
 *
 * @param zone those of the zone's other containers, in the same family
 * @param used networks of the host
 * @throws ConfigError if the zone has another network, or the address is taken
 */
export function requestedAddresses(
  asked: Subnet,
  zone: readonly LinkAddresses[],
  used: readonly Subnet[],
): LinkAddresses {
  const network = networkOf(asked);
  const name = `Option ipv${asked.family}_address = "${formatSubnet(asked)}"`;
  const known = parseSubnet(zone[0]?.host ?? "");
  if (known !== undefined && formatSubnet(networkOf(known)) !== formatSubnet(network)) {
    throw new ConfigError(
      `${name} is not in the network of the zone's other containers, ${formatSubnet(networkOf(known))}.`,
    );
  }
  const owner = used.find((other) => overlaps(other, network));
  if (known === undefined && owner !== undefined) {
    throw new ConfigError(`${name} is in a network that this client uses otherwise, ${formatSubnet(owner)}.`);
  }
  const pair = linkAddresses(network, asked.value - network.value);
  if (pair.container === pair.host) throw new ConfigError(`${name} is the address of the client in that network.`);
  if (zone.some(({ container }) => container === pair.container)) {
    throw new ConfigError(`${name} is the address of another container of the zone.`);
  }
  return pair;
}

function firstFree(
  candidates: readonly string[],
  size: number,
  name: string,
  used: readonly Subnet[],
): Subnet | undefined {
  for (const candidate of candidates) {
    const pool = parseSubnet(candidate);
    const free = pool === undefined ? undefined : freeSubnet(pool, size, name, used);
    if (free !== undefined) return free;
  }
  return undefined;
}

/** The record of a container with these addresses. */
export function withAddresses(record: Omit<NetworkRecord, "addresses" | "targets">, given: Given): NetworkRecord {
  const addresses = containerAddresses(given);
  return { ...record, given, addresses, targets: addresses };
}

/** The container's side of these addresses. */
function containerAddresses(given: NetworkRecord["given"]): string[] {
  return [given?.ipv4?.container, given?.ipv6?.container].filter((text) => text !== undefined);
}

/**
 * A network of unique local addresses (RFC 4193), random as required, and stable per host: derived from its machine ID,
 * which must not be disclosed itself (machine-id(5)).
 */
function localPool(): string {
  const id = existsSync(MACHINE_ID) ? readFileSync(MACHINE_ID, "utf8").trim() : hostname();
  const hex = createHash("sha256").update("nomad-driver-nspawn network ").update(id).digest("hex");
  return `fd${hex.slice(0, 2)}:${hex.slice(2, 6)}:${hex.slice(6, 10)}::/48`;
}
