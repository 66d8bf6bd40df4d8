import { isIP } from "node:net";

/**
 * The text of /etc/hosts (hosts(5)) for a container in a group's network, in the format of Nomad's own drivers.
 *
 * @param addresses the container's addresses
 * @param names its names, its own first
 * @throws Error for an address or a name that does not fit on one line
 */
export function hostsFile(addresses: readonly string[], names: readonly string[]): string {
  const broken =
    addresses.find((address) => isIP(address) === 0) ??
    names.find((name) => !/^[A-Za-z0-9]([A-Za-z0-9._-]*)$/.test(name));
  if (broken !== undefined) {
    throw new Error(
      `Cannot write ${JSON.stringify(broken)} of the group's network to /etc/hosts: not a valid address or host name.`,
    );
  }
  const own = addresses.map((address) => `${address} ${[...new Set(names)].join(" ")}\n`);
  return `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${own.join("")}`;
}
