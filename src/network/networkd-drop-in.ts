import { serversOf } from "./host-resolvers";
import { addressPart, parseAddress, parseSubnet } from "./ip";
import type { NetworkRecord } from "./records";

/**
 * Where systemd-networkd in a container looks for drop-ins to its own file for the link to the host
 * (80-container-host0.network, systemd.network(5)). They do not affect an image that has another file for it.
 */
export const dropInPath = "/run/systemd/network/80-container-host0.network.d/50-nomad.conf";

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
