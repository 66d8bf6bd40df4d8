import { type Address, addressBits, overlaps } from "./ip";
import type { Route } from "./netlink/links";

/**
 * Whether packets to an address leave the host through a link: the most specific of the matching routes decides.
 *
 * A container chooses its own addresses. That must not redirect packets for its ports elsewhere: to an address of the
 * host, or of a host behind another link.
 */
export function leadsTo(routes: readonly Route[], address: Address, index: number): boolean {
  const alone = { ...address, prefix: addressBits[address.family] };
  const matching = routes.filter(({ destination }) => overlaps(destination, alone));
  const longest = Math.max(...matching.map(({ destination }) => destination.prefix));
  const best = matching.filter(({ destination }) => destination.prefix === longest);
  return best.length > 0 && best.every((route) => route.outward && route.index === index);
}
