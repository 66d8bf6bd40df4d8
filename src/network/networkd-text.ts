import { parseAddress } from "../values/ip";
import { serversOf } from "./dns";
import type { OwnAddresses } from "./network";

/**
 * Sections of a file for systemd-networkd (systemd.network(5)) with which it keeps to the addresses that the driver or the job chose.
 * Otherwise it would remove them from the link, and look for a DHCP server.
 *
 * @param resolvers text of a resolv.conf(5) with servers that the container can reach
 * @param dhcp whether it asks for addresses
 */
export function networkdText(own: OwnAddresses | undefined, resolvers: string | undefined, dhcp: boolean): string {
  const { addresses = [], gateways = [], mac } = own ?? {};
  const servers = serversOf(resolvers).filter((server) => parseAddress(server) !== undefined);
  return [
    ...(mac === undefined ? [] : ["[Link]", `MACAddress=${mac}`, ""]),
    "[Network]",
    `DHCP=${dhcp ? "yes" : "no"}`,
    ...addresses.map((address) => `Address=${address}`),
    ...gateways.map((gateway) => `Gateway=${gateway}`),
    ...servers.map((server) => `DNS=${server}`),
    "",
  ].join("\n");
}
