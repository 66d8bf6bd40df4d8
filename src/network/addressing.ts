import { formatSubnet, isIpv4, parseSubnet } from "./ip";
import type { LinkManagement } from "./networkd";
import type { NetworkRecord } from "./records";
import { neighbour } from "./subnets";

/** What there is to know of a container's link when it has appeared. */
export interface LinkSituation {
  readonly record: NetworkRecord;
  /** An init system runs in the container, and sees to its own network. */
  readonly boot: boolean;
  /** What systemd-networkd does on the host's end. */
  readonly management: LinkManagement;
  /** Addresses of the host's end, "ADDRESS/PREFIX". */
  readonly host: readonly string[];
  readonly container: readonly string[];
}

/** Who gives a container its addresses. */
export type Addressing =
  /** That is not decided yet. */
  | { readonly kind: "wait" }
  /** The driver, from its pool: those that the record has, or some that are to be chosen. */
  | { readonly kind: "give"; readonly given: NetworkRecord["given"] | undefined }
  /** The driver, one of the network that systemd-networkd has made for this link alone. */
  | { readonly kind: "lend"; readonly given: NonNullable<NetworkRecord["given"]> }
  /** A DHCP server, which the driver asks in the container's place. */
  | { readonly kind: "ask" }
  /** Somebody else: a DHCP server or router, the container itself. */
  | { readonly kind: "leave" };

/**
 * Decides who gives a container its addresses. A bridge of the host's is the operator's network, whose addresses are not ours to
 * give. A link of the driver's own gets them from the driver, unless systemd-networkd serves it: an init system then asks its
 * DHCP server. A program, which does not, gets the address that the server would have given; in a zone, whose server has others
 * to serve, the driver asks it.
 */
export function addressing({ record, boot, management, host, container }: LinkSituation): Addressing {
  if (record.link === "bridge") return { kind: "leave" };
  if (record.given !== undefined) return { kind: "give", given: record.given };
  if (management === "unknown") return { kind: "wait" };
  if (management === "unmanaged") return { kind: "give", given: undefined };
  if (boot) return { kind: "leave" };
  if (container.some(isIpv4) && record.leased === undefined) return { kind: "leave" };
  // The server of a zone has others to serve, and does not know which addresses are taken without it.
  if (record.link === "zone") return { kind: "ask" };
  const own = parseSubnet(host.find(isIpv4) ?? "");
  const other = own === undefined ? undefined : neighbour(own);
  if (own === undefined || other === undefined) return { kind: "wait" };
  return { kind: "lend", given: { ipv4: { host: formatSubnet(own), container: formatSubnet(other) } } };
}
