import type { LinkManagement } from "../../systemd/networkd";
import { addressPart, formatSubnet, isIpv4, parseAddress, parseSubnet, peerAddress } from "../../values/ip";
import { serversOf } from "../dns";
import type { NetworkRecord } from "./records";

/** The state of a container's link after it has appeared. */
export interface LinkSituation {
  readonly record: NetworkRecord;
  /** An init system runs in the container, and configures its own network. */
  readonly boot: boolean;
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
export function addressing({ record, boot, management, host, container }: LinkSituation): Addressing {
  if (record.link === "bridge") return { kind: "external" };
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
 * Configures a booted container's systemd-networkd with the addresses that the driver assigned. Otherwise it would remove them from
 * the link, and look for a DHCP server that does not exist.
 *
 * @param resolvers text of a resolv.conf(5) with servers that the container can reach
 */
export function networkdDropIn(given: NonNullable<NetworkRecord["given"]>, resolvers: string | undefined): string {
  const pairs = [given.ipv4, given.ipv6].filter((pair) => pair !== undefined);
  return [
    "[Network]",
    "DHCP=no",
    ...pairs.flatMap(({ host, container }) =>
      parseSubnet(container) === undefined ? [] : [`Address=${container}`, `Gateway=${addressPart(host)}`],
    ),
    ...serversOf(resolvers)
      .filter((server) => parseAddress(server) !== undefined)
      .map((server) => `DNS=${server}`),
    "",
  ].join("\n");
}
