import { addLoopbackRoute, removeLoopbackRoute } from "../../linux/netlink/loopback-route";
import { Links } from "../../linux/netlink/route";
import { NetlinkError } from "../../linux/netlink/socket";
import { hasIpv6, routeLoopback } from "../../linux/sysctl";

/**
 * Lets packets from the host's programs to forwarded ports at 127.0.0.1 and ::1 leave through a link, and the answers return; ruleset.ts
 * has the matching rules. The settings disappear with the link, unless it is a bridge.
 */
export function enableRouteLocalnet({ index, name }: { readonly index: number; readonly name: string }): void {
  routeLoopback(name);
  if (!hasIpv6()) return;
  try {
    addLoopbackRoute(index);
  } catch (error) {
    // A link without IPv6, or one that is down, reaches no address anyway.
    if (!(error instanceof NetlinkError)) throw error;
  }
}

/** Reverts enableRouteLocalnet() for an operator's bridge, which continues to exist. */
export function disableRouteLocalnet(bridge: string): void {
  if (!hasIpv6()) return;
  using links = new Links();
  const index = links.link(bridge)?.index;
  if (index !== undefined) removeLoopbackRoute(index);
}
