import { writeFileSync } from "node:fs";
import { errnoCode } from "../lib/errors";
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

/**
 * What all processes in a container's network namespace may do, independent of who owns the namespace: listen on every port, and ping (ip-sysctl of
 * the kernel's documentation). Docker and podman set both as well; the kernel's defaults need root for ports below 1024, and no group may
 * ping.
 */
const RIGHTS = {
  "/proc/sys/net/ipv4/ip_unprivileged_port_start": "0",
  "/proc/sys/net/ipv4/ping_group_range": "0 2147483647",
} as const;

/**
 * Grants all processes in a container's network namespace those rights.
 *
 * @returns a message if the host refuses, undefined otherwise
 * @throws Error if the namespace does not exist
 */
export function grantNetworkRights(path: string): string | undefined {
  return inNetworkNamespace(path, () => {
    for (const [file, value] of Object.entries(RIGHTS)) {
      try {
        writeFileSync(file, value);
      } catch (error) {
        return `The task may be unable to open ports below 1024 or to ping: cannot write ${file} (${errnoCode(error) ?? String(error)}).`;
      }
    }
    return undefined;
  });
}
