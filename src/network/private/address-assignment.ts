import { defined } from "../../lib/objects";
import type { LinkManagement } from "../../systemd/networkd";
import { addressPart, formatSubnet, isIpv4, parseSubnet, peerAddress } from "../../values/ip";
import type { OwnAddresses } from "../network";
import type { NetworkRecord } from "./records";

/** The state of a container's link after it has appeared. */
export interface LinkSituation {
  readonly record: NetworkRecord;
  /** An init system runs in the container, and configures its own network. */
  readonly boot: boolean;
  /** Whether systemd-networkd runs on the host. */
  readonly networkd?: boolean;
  /** What systemd-networkd does with the host's end. */
  readonly management: LinkManagement;
  /** Addresses of the host's end, "ADDRESS/PREFIX". */
  readonly host: readonly string[];
  readonly container: readonly string[];
}

/** How a container gets its addresses. */
export type Addressing =
  /** Not decided yet. */
  | { readonly kind: "pending" }
  /** From the driver's pool: those of the record, or new ones. */
  | { readonly kind: "static"; readonly given: NetworkRecord["given"] | undefined }
  /** From the driver, out of the network that systemd-networkd has created for this link alone. */
  | { readonly kind: "networkd-subnet"; readonly given: NonNullable<NetworkRecord["given"]> }
  /** From a DHCP server, as a lease that the driver requests for the container. */
  | { readonly kind: "dhcp-client" }
  /** Not from the driver: from a DHCP server, a router, or the container itself. */
  | { readonly kind: "external" };

/**
 * Decides how a container gets its addresses. A bridge of the host is the operator's network, whose addresses the driver does not
 * assign. The driver assigns the addresses of its own links, unless systemd-networkd serves them: then an init system uses networkd's
 * DHCP server. A single command runs no DHCP client and gets the address that the server would have offered; in a zone, whose server
 * has several clients, the driver requests a lease for it.
 */
export function addressing({ record, boot, networkd = false, management, host, container }: LinkSituation): Addressing {
  if (record.link === "bridge") return { kind: "external" };
  // systemd-networkd removes addresses of others when it begins to manage a link.
  if (record.requested !== undefined && management === "unknown" && networkd) return { kind: "pending" };
  if (record.given !== undefined) return { kind: "static", given: record.given };
  if (management === "unknown") return { kind: "pending" };
  if (management === "unmanaged") return { kind: "static", given: undefined };
  if (boot) return { kind: "external" };
  if (container.some(isIpv4) && record.leased === undefined) return { kind: "external" };
  // A zone's server has several clients, and does not know which addresses are used without a lease.
  if (record.link === "zone") return { kind: "dhcp-client" };
  const own = parseSubnet(host.find(isIpv4) ?? "");
  const other = own === undefined ? undefined : peerAddress(own);
  if (own === undefined || other === undefined) return { kind: "pending" };
  return { kind: "networkd-subnet", given: { ipv4: { host: formatSubnet(own), container: formatSubnet(other) } } };
}

/**
 * What a booted container's systemd-networkd has to keep to: the addresses that the driver assigned, or those of the job; undefined if it
 * configures its link as it is used to.
 *
 * @param own of a link to a bridge, whose addresses the driver does not assign
 */
export function fixedAddresses(given: NetworkRecord["given"], own: OwnAddresses | undefined): OwnAddresses | undefined {
  const mac = defined({ mac: own?.mac });
  const pairs = [given?.ipv4, given?.ipv6].filter((pair) => pair !== undefined);
  if (pairs.length === 0) return own;
  const usable = pairs.filter(({ container }) => parseSubnet(container) !== undefined);
  return {
    addresses: usable.map(({ container }) => container),
    gateways: usable.map(({ host }) => addressPart(host)),
    ...mac,
  };
}
