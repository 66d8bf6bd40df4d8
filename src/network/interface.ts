import { type Link, Links } from "../linux/netlink/route";
import { inNetworkNamespace } from "../linux/network-namespace";
import { hasIpv6 } from "../linux/sysctl";
import { parseAddress, parseSubnet } from "../values/ip";
import type { OwnAddresses } from "./network";

/** An interface in a container: its name, or its kind, because systemd-nspawn shortens the names of long ones. */
export interface InterfaceName {
  readonly name?: string;
  readonly kind?: string;
}

/** An interface in a container, and what it gets. */
export interface InterfaceSetup extends InterfaceName, OwnAddresses {
  /** Whether it is set up. */
  readonly up: boolean;
}

/** More interfaces than a container has before its program runs. */
const MOST = 1000;

/** Whether an interface is in a container's network namespace. @param namespace as inNetworkNamespace() takes it */
export function hasInterface(namespace: string, wanted: InterfaceName): boolean {
  return inNetworkNamespace(namespace, () => {
    using links = new Links(MOST);
    return findInterface(links, wanted) !== undefined;
  });
}

/**
 * Gives an interface in a container its hardware address, addresses and routes.
 *
 * @param namespace as inNetworkNamespace() takes it
 * @throws NetlinkError if the kernel refuses one of them
 */
export function setUpInterface(namespace: string, setup: InterfaceSetup): void {
  inNetworkNamespace(namespace, () => {
    using links = new Links(MOST);
    const link = findInterface(links, setup);
    if (link === undefined) return;
    if (setup.mac !== undefined) links.setMac(link.index, setup.mac);
    if (setup.up) links.setUp(link.index);
    const usable = (family: 4 | 6) => family === 4 || hasIpv6();
    for (const address of setup.addresses.flatMap((text) => parseSubnet(text) ?? [])) {
      if (usable(address.family)) links.addAddress(link.index, address);
    }
    for (const gateway of setup.gateways.flatMap((text) => parseAddress(text) ?? [])) {
      if (usable(gateway.family)) links.setDefaultRoute(link.index, gateway);
    }
  });
}

/** An interface of the namespace that the links are of. */
export function findInterface(links: Links, { name, kind }: InterfaceName): Link | undefined {
  return links.links().find((link) => (name === undefined ? link.kind === kind : link.name === name));
}
