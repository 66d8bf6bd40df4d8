import { Links } from "./netlink/links";
import { addLoopbackRoute, removeLoopbackRoute } from "./netlink/loopback-route";
import { NetlinkError } from "./netlink/socket";
import { hasIpv6, routeLoopback } from "./sysctls";

/**
 * Lets what the host's programs send to forwarded ports at 127.0.0.1 and ::1 go to a link, and the answers come back; rules.ts
 * has the counterpart. With a link that is no bridge it is gone.
 */
export function openLoopback({ index, name }: { readonly index: number; readonly name: string }): void {
  routeLoopback(name);
  if (!hasIpv6()) return;
  try {
    addLoopbackRoute(index);
  } catch (error) {
    // A link without IPv6, or one that is down: nobody is reached by it.
    if (!(error instanceof NetlinkError)) throw error;
  }
}

/** Takes back what openLoopback() added to a bridge of the operator's, which stays. */
export function closeLoopback(bridge: string): void {
  if (!hasIpv6()) return;
  using links = new Links();
  const index = links.link(bridge)?.index;
  if (index !== undefined) removeLoopbackRoute(index);
}
