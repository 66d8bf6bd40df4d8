import { inNetworkNamespace } from "../host/network-namespace";
import type { ContainerLink } from "./container-link";
import { holdLease } from "./dhcp/client";
import type { Granted } from "./dhcp/client-state";
import { type Address, formatSubnet, parseSubnet } from "./ip";
import { Links } from "./netlink/links";

/** How many addresses of a container are looked through for the one that is to go, about. */
const mostListed = 1000;

/** What holdContainerLease() asks of the container's network. */
export interface LeaseKeeper {
  /** Writes down which address is leased, "ADDRESS/PREFIX", so that it is kept after a restart of the plugin. */
  remember(leased: string): void;
  failed(error: unknown): void;
}

/**
 * Gets a container's address from the DHCP server of its link, in place of the program in it, and has it renewed.
 *
 * @param leased the one that it had before this process, "ADDRESS/PREFIX"
 * @returns stops renewing it; the address stays
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
    using links = new Links(mostListed);
    for (const { index: on, address } of links.addresses()) {
      if (on === index && address.family === family && address.value === value) links.removeAddress(index, address);
    }
  });
}
