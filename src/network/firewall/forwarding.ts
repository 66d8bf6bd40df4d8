import { addLoopbackRoute, removeLoopbackRoute } from "../../linux/netlink/loopback-route";
import { flushConntrack } from "../../linux/netlink/netfilter";
import { Links } from "../../linux/netlink/route";
import { NetlinkError } from "../../linux/netlink/socket";
import { hasIpv6, routeLoopback } from "../../linux/sysctl";
import { addressPart } from "../../values/ip";
import type { NetworkRecord } from "../private/records";

const UDP = 17;

/** Deletes conntrack entries of flows to a container that is gone. */
export function flushContainerFlows(record: NetworkRecord): void {
  const addresses = addressesOf(record);
  if (record.ports.length > 0) flushConntrack(({ answerer }) => addresses.has(answerer));
}

/**
 * Deletes conntrack entries of datagrams to a container's ports from before it had them: forwarded nowhere, or to a container that
 * had them earlier. Connections end by themselves.
 */
export function flushStaleFlows(record: NetworkRecord): void {
  const addresses = addressesOf(record);
  const ports = new Set(record.ports.map(({ hostPort }) => hostPort));
  if (ports.size === 0) return;
  flushConntrack(({ protocol, port, answerer }) => protocol === UDP && ports.has(port) && !addresses.has(answerer));
}

function addressesOf({ targets }: NetworkRecord): ReadonlySet<string> {
  return new Set(targets.map((text) => addressPart(text)));
}

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
