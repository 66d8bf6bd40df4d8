import { writeFileSync } from "node:fs";
import { errnoCode } from "../host/errno";
import { inNetworkNamespace } from "../host/network-namespace";
import { formatAddress, isLocal } from "./ip";
import { Links } from "./netlink/links";

/**
 * What a container's root may do in a namespace of its own and not in one that Nomad made, since its user namespace has no
 * power over that: listen on every port, and ping (ip-sysctl of the kernel's documentation). Docker sets both as well.
 */
const rights = {
  "/proc/sys/net/ipv4/ip_unprivileged_port_start": "0",
  "/proc/sys/net/ipv4/ping_group_range": "0 2147483647",
} as const;

/**
 * The addresses of a group's network by which others reach its tasks; none where it has nothing but loopback.
 *
 * @throws Error where there is no such namespace
 */
export function joinedAddresses(path: string): string[] {
  return inNetworkNamespace(path, () => {
    using links = new Links();
    return links.addresses().flatMap(({ address }) => (isLocal(address) ? [] : [formatAddress(address)]));
  });
}

/**
 * Gives everybody in a group's network namespace those rights.
 *
 * @returns a sentence where the host does not let us, undefined otherwise
 * @throws Error where there is no such namespace
 */
export function openJoinedNamespace(path: string): string | undefined {
  return inNetworkNamespace(path, () => {
    for (const [file, value] of Object.entries(rights)) {
      try {
        writeFileSync(file, value);
      } catch (error) {
        return `The task cannot open ports below 1024, or not ping: ${file} could not be written (${errnoCode(error) ?? String(error)}).`;
      }
    }
    return undefined;
  });
}
