import { addressPart, parseAddress, parseSubnet } from "../../values/ip";
import { serversOf } from "../dns";
import type { NetworkRecord } from "./records";

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
