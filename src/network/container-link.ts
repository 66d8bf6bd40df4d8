import { inNetworkNamespace } from "../host/network-namespace";
import { addressPart, formatSubnet, isLocal, parseAddress, parseSubnet } from "./ip";
import { type Link, Links } from "./netlink/links";
import type { NetworkRecord } from "./records";
import { leadsTo } from "./route-lookup";
import { hasIpv6 } from "./sysctls";

/** The name that systemd-nspawn gives the container's end of its link (systemd-nspawn(1), --network-veth). */
const containerName = "host0";

/** How many interfaces and addresses of a container are looked at, about; and how many addresses at its link are made use of. */
const mostListed = 1000;
const mostAddresses = 64;

/** The container's end of its link. */
export interface ContainerLink {
  readonly index: number;
  readonly mac: string;
  /** Index of the host's end. */
  readonly peer: number;
  /** "ADDRESS/PREFIX" of those that others can reach it by, the first 64. */
  readonly addresses: readonly string[];
}

/** The host's end, and the bridge it is attached to. */
export interface HostLink {
  /** What the host's address is on: the bridge, where there is one. */
  readonly index: number;
  readonly name: string;
  /** The end itself. */
  readonly end: Link;
  readonly addresses: readonly string[];
}

/** Looks into a container; undefined while it has no link. */
export function readContainerLink(namespace: string): ContainerLink | undefined {
  return inNetworkNamespace(namespace, () => {
    using links = new Links(mostListed);
    const link = links.link(containerName);
    if (link?.peer === undefined) return undefined;
    const addresses = addressesOf(links, link.index).slice(0, mostAddresses);
    return { index: link.index, mac: link.mac, peer: link.peer, addresses };
  });
}

/**
 * Looks at the host's end of a link; undefined while it is not there, or not yet attached to its bridge.
 *
 * @param bridged whether it is to be attached to one
 */
export function readHostLink(peer: number, bridged: boolean): HostLink | undefined {
  using links = new Links();
  const all = links.links();
  const end = all.find(({ index }) => index === peer);
  const carrier = bridged ? all.find(({ index }) => index === end?.bridge) : end;
  if (end === undefined || carrier === undefined) return undefined;
  return { index: carrier.index, name: carrier.name, end, addresses: addressesOf(links, carrier.index) };
}

/** Of a container's addresses those that packets of the host reach it by; see leadsTo(). */
export function reachedBy(index: number, addresses: readonly string[]): string[] {
  using links = new Links();
  const routes = links.routes();
  return addresses.filter((text) => {
    const address = parseSubnet(text);
    return address !== undefined && leadsTo(routes, address, index);
  });
}

/** Sets the container's end up, with addresses and default routes where there are some. */
export function setUpContainer(namespace: string, given: NetworkRecord["given"]): void {
  inNetworkNamespace(namespace, () => {
    using links = new Links(mostListed);
    const link = links.link(containerName);
    if (link === undefined) return;
    links.setUp(link.index);
    for (const { host, container } of pairs(given)) {
      const [own, gateway] = [parseSubnet(container), parseAddress(addressPart(host))];
      // An init system may have switched the family off.
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
