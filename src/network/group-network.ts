import { Links } from "../linux/netlink/route";
import { inNetworkNamespace } from "../linux/network-namespace";
import { formatAddress, isLocal } from "../values/ip";

/**
 * The addresses of a group's network that other hosts can reach; empty if it has only loopback.
 *
 * @throws Error if the namespace does not exist
 */
export function joinedAddresses(path: string): string[] {
  return inNetworkNamespace(path, () => {
    using links = new Links();
    return links.addresses().flatMap(({ address }) => (isLocal(address) ? [] : [formatAddress(address)]));
  });
}
