import type { Lease } from "./dhcp/server-message";
import { serversOf } from "./host-resolvers";
import { addressPart, parseAddress, parseSubnet } from "./ip";
import type { NetworkRecord } from "./records";

/**
 * The DHCP lease of a container; undefined if the driver has assigned it no IPv4 address.
 *
 * @param resolvers text of a resolv.conf(5)
 */
export function leaseOf(given: NetworkRecord["given"], resolvers: string | undefined): Lease | undefined {
  const { host = "", container = "" } = given?.ipv4 ?? {};
  const [address, router] = [parseSubnet(container), parseAddress(addressPart(host))];
  if (address === undefined || router === undefined) return undefined;
  const servers = serversOf(resolvers).flatMap((server) => parseAddress(server) ?? []);
  return { address, router, resolvers: servers.filter(({ family }) => family === 4) };
}
