import { inNetworkNamespace } from "../host/network-namespace";
import type { ContainerLink } from "./container-link";
import { holdLease } from "./dhcp/client";
import type { Granted } from "./dhcp/client-state";
import { type Address, formatSubnet, parseSubnet } from "./ip";
import { Links } from "./netlink/links";

/** The approximate number of a container's addresses searched for the one to remove. */
const maxListed = 1000;

/** Callbacks of holdContainerLease(). */
export interface LeaseKeeper {
  /** Records the leased address, "ADDRESS/PREFIX", so that it is kept after a restart of the plugin. */
  remember(leased: string): void;
  failed(error: unknown): void;
}

/**
 * Leases a container's address from the DHCP server of its link, for a container without a DHCP client, and renews it.
 *
 * @param leased the address it had before this process, "ADDRESS/PREFIX"
 * @returns stops the renewal; the address stays
 */
export function holdContainerLease(
  namespace: string,
  { index, mac }: ContainerLink,
  leased: string | undefined,
  keeper: LeaseKeeper,
): () => void {
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      keeper.failed(error);
    }
  };
  return holdLease({ namespace, index, mac }, parseSubnet(leased ?? ""), {
    take: (granted) =>
      attempt(() => {
        keeper.remember(formatSubnet(granted.address));
        take(namespace, index, granted);
      }),
    drop: (address) => attempt(() => drop(namespace, index, address)),
  });
}

function take(namespace: string, index: number, { address, router }: Granted): void {
  inNetworkNamespace(namespace, () => {
    using links = new Links();
    links.addAddress(index, address);
    if (router !== undefined) links.setDefaultRoute(index, router);
  });
}

function drop(namespace: string, index: number, { family, value }: Address): void {
  inNetworkNamespace(namespace, () => {
    using links = new Links(maxListed);
    for (const { index: on, address } of links.addresses()) {
      if (on === index && address.family === family && address.value === value) links.removeAddress(index, address);
    }
  });
}
