import { flushConntrack } from "../../linux/netlink/netfilter";
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
