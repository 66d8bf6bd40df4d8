import { isIP } from "node:net";

/**
 * The text of /etc/hosts (hosts(5)) for a container in a group's network, as Nomad's own drivers write it.
 *
 * @param names the host's names, the first one is its own
 * @throws Error for an address or a name that would not stay on its line
 */
export function hostsFile(address: string, names: readonly string[]): string {
  const broken = names.find((name) => !/^[A-Za-z0-9]([A-Za-z0-9._-]*)$/.test(name));
  if (isIP(address) === 0 || broken !== undefined) {
    throw new Error(
      `The group's network has the address ${JSON.stringify(address)} and the host name ${JSON.stringify(names[0] ?? "")}, of which no line of /etc/hosts can be made.`,
    );
  }
  return `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${address} ${[...new Set(names)].join(" ")}\n`;
}
