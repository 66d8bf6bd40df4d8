import { isIP } from "node:net";

/** A line of /etc/hosts: a name and its address. */
export interface HostEntry {
  readonly name: string;
  readonly address: string;
}

/** Whether a text can be a name in /etc/hosts: what Docker and glibc accept, which is more than a host name may contain. */
export function isHostsName(name: string): boolean {
  return name.length <= 255 && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name);
}

/**
 * Splits "NAME:ADDRESS" as in Docker's extra_hosts: the name ends at the first colon, and an IPv6 address may be in brackets.
 *
 * @returns undefined if it is not valid
 */
export function parseHostEntry(text: string): HostEntry | undefined {
  const colon = text.indexOf(":");
  const name = text.slice(0, Math.max(colon, 0));
  const address = text.slice(colon + 1).replace(/^\[(.*)\]$/, "$1");
  // An address with a zone belongs to a link, whose name the container's network does not share.
  return isHostsName(name) && isIP(address) !== 0 && !address.includes("%") ? { name, address } : undefined;
}
