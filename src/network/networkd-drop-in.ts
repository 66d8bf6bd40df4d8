import { serversOf } from "./host-resolvers";
import { addressPart, parseAddress, parseSubnet } from "./ip";
import type { NetworkRecord } from "./records";

/**
 * Where systemd-networkd in a container looks for additions to its own file about the link to the host
 * (80-container-host0.network, systemd.network(5)). An image that has another file for it is not concerned.
 */
export const dropInPath = "/run/systemd/network/80-container-host0.network.d/50-nomad.conf";

/**
 * Tells a booted container's systemd-networkd the addresses that the driver gives the container. It would remove them from the
 * link otherwise, and ask a DHCP server that is not there.
 *
 * @param resolvers text of a resolv.conf(5) with servers that the container reaches
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
