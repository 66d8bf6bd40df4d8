import { type Address, addressBits, overlaps } from "./ip";
import type { Route } from "./netlink/links";

/**
 * Whether packets to an address leave the host by a link: of the routes that match, the one of the smallest network decides.
 *
 * A container says itself which addresses it has. What is led to its ports must not be led elsewhere by that: to an address of the
 * host, or of somebody behind another link.
 */
export function leadsTo(routes: readonly Route[], address: Address, index: number): boolean {
  const alone = { ...address, prefix: addressBits[address.family] };
  const matching = routes.filter(({ destination }) => overlaps(destination, alone));
  const longest = Math.max(...matching.map(({ destination }) => destination.prefix));
  const best = matching.filter(({ destination }) => destination.prefix === longest);
  return best.length > 0 && best.every((route) => route.outward && route.index === index);
}
