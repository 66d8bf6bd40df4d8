import { type Link, Links, type Route } from "../../linux/netlink/route";
import { inNetworkNamespace } from "../../linux/network-namespace";
import { hasIpv6 } from "../../linux/sysctl";
import {
  type Address,
  addressBits,
  addressPart,
  formatSubnet,
  isLocal,
  overlaps,
  parseAddress,
  parseSubnet,
} from "../../values/ip";
import { HOST_LINK } from "../../values/link-names";
import type { NetworkRecord } from "./records";

/**
 * Whether packets to an address leave the host through a link: the most specific of the matching routes decides.
 *
 * A container chooses its own addresses. That must not redirect packets for its ports elsewhere: to an address of the
 * host, or of a host behind another link.
 */
export function routesVia(routes: readonly Route[], address: Address, index: number): boolean {
  const alone = { ...address, prefix: addressBits[address.family] };
  const matching = routes.filter(({ destination }) => overlaps(destination, alone));
  const longest = Math.max(...matching.map(({ destination }) => destination.prefix));
  const best = matching.filter(({ destination }) => destination.prefix === longest);
  return best.length > 0 && best.every((route) => route.outward && route.index === index);
}

/** The approximate number of a container's interfaces and addresses to list; and the number of addresses of its link that are used. */
const MAX_LISTED = 1000;
const MAX_ADDRESSES = 64;

/** The container's end of its link. */
export interface ContainerLink {
  readonly index: number;
  readonly mac: string;
  /** Index of the host's end. */
  readonly peer: number;
  /** "ADDRESS/PREFIX" of those that other hosts can reach, the first 64. */
  readonly addresses: readonly string[];
}

/** The host's end, and the bridge it is attached to. */
export interface HostLink {
  /** The interface with the host's address: the bridge, if attached to one. */
  readonly index: number;
  readonly name: string;
  /** The end itself. */
  readonly end: Link;
  readonly addresses: readonly string[];
}

/** Reads a container's link; undefined while it has none. */
export function readContainerLink(namespace: string): ContainerLink | undefined {
  return inNetworkNamespace(namespace, () => {
    using links = new Links(MAX_LISTED);
    const link = links.link(HOST_LINK);
    if (link?.peer === undefined) return undefined;
    const addresses = addressesOf(links, link.index).slice(0, MAX_ADDRESSES);
    return { index: link.index, mac: link.mac, peer: link.peer, addresses };
  });
}

/**
 * Reads the host's end of a link; undefined while it does not exist, or is not yet attached to its bridge.
 *
 * @param bridged whether it will be attached to one
 */
export function readHostLink(peer: number, bridged: boolean): HostLink | undefined {
  using links = new Links();
  const all = links.links();
  const end = all.find(({ index }) => index === peer);
  const carrier = bridged ? all.find(({ index }) => index === end?.bridge) : end;
  if (end === undefined || carrier === undefined) return undefined;
  return { index: carrier.index, name: carrier.name, end, addresses: addressesOf(links, carrier.index) };
}

/** The addresses of a container that the host's packets can reach; see routesVia(). */
export function routesTo(index: number, addresses: readonly string[]): string[] {
  using links = new Links();
  const routes = links.routes();
  return addresses.filter((text) => {
    const address = parseSubnet(text);
    return address !== undefined && routesVia(routes, address, index);
  });
}

/** Sets the container's end up, with addresses and default routes if given. */
export function setUpContainer(namespace: string, given: NetworkRecord["given"]): void {
  inNetworkNamespace(namespace, () => {
    using links = new Links(MAX_LISTED);
    const link = links.link(HOST_LINK);
    if (link === undefined) return;
    links.setUp(link.index);
    for (const { host, container } of pairs(given)) {
      const [own, gateway] = [parseSubnet(container), parseAddress(addressPart(host))];
      // An init system may have disabled the family.
      if (own === undefined || gateway === undefined || (own.family === 6 && !hasIpv6())) continue;
      links.addAddress(link.index, own);
      links.setDefaultRoute(link.index, gateway);
    }
  });
}

/** Sets the host's end up, with its addresses. */
export function setUpHost({ index, end }: HostLink, given: NetworkRecord["given"]): void {
  using links = new Links();
  for (const each of new Set([end.index, index])) links.setUp(each);
  for (const { host } of pairs(given)) {
    const address = parseSubnet(host);
    if (address !== undefined) links.addAddress(index, address);
  }
}

function pairs(given: NetworkRecord["given"]) {
  return [given?.ipv4, given?.ipv6].filter((pair) => pair !== undefined);
}

function addressesOf(links: Links, index: number): string[] {
  return links
    .addresses()
    .filter((entry) => entry.index === index && entry.usable && !isLocal(entry.address))
    .map(({ address }) => formatSubnet(address));
}
