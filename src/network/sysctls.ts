import { existsSync, writeFileSync } from "node:fs";
import { errnoCode } from "../host/errno";
import { readIfThere } from "../host/read-file";
import type { Route } from "./netlink/links";

/** ip-sysctl of the kernel's documentation. */
const tree = "/proc/sys/net";

/** Whether the host uses IPv6 at all. */
export function hasIpv6(): boolean {
  return existsSync(`${tree}/ipv6`) && read("ipv6/conf/all/disable_ipv6") !== "1";
}

/** Whether the host passes packets on between its links. */
export function forwards(family: 4 | 6): boolean {
  return read(family === 4 ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding") === "1";
}

/**
 * Lets the host pass on packets, as containers with a network of their own need; it stays so, as others may rely on it by then.
 *
 * A host that has its own IPv6 default route from router advertisements, taken by the kernel, would lose it by that
 * (accept_ra): it is left alone.
 *
 * @returns which settings were changed, and which could not be
 */
export function enableForwarding(routes: readonly Route[]): {
  readonly changed: readonly string[];
  readonly refused: readonly string[];
} {
  const wanted = [
    ...(forwards(4) ? [] : ["ipv4/ip_forward"]),
    ...(!hasIpv6() || forwards(6) || dependsOnAdvertisements(routes) ? [] : ["ipv6/conf/all/forwarding"]),
  ];
  const changed = wanted.filter((name) => write(name, "1"));
  const settings = (names: readonly string[]) => names.map((name) => `net.${name.replaceAll("/", ".")}`);
  return { changed: settings(changed), refused: settings(wanted.filter((name) => !changed.includes(name))) };
}

/** Whether the host's IPv6 default route came with a router advertisement. */
export function dependsOnAdvertisements(routes: readonly Route[]): boolean {
  return routes.some(
    ({ destination, advertised }) => advertised && destination.family === 6 && destination.prefix === 0,
  );
}

/** Whether what passes a bridge passes the rules of IPv6 as well (br_netfilter). */
export function bridgesAreFiltered(): boolean {
  return read("bridge/bridge-nf-call-ip6tables") === "1";
}

/** Lets packets between 127.0.0.1 and others pass a link (route_localnet), where the host lets us. */
export function routeLoopback(link: string): void {
  write(`ipv4/conf/${link}/route_localnet`, "1");
}

/** What a host would take from the other end of a link about its own network, by family. */
const trusting = {
  ipv4: ["accept_redirects", "accept_source_route"],
  ipv6: ["accept_ra", "autoconf", "accept_redirects", "accept_source_route"],
} as const;

/** The settings by which the host believes nothing of what comes in by a link about addresses, routes and routers: all have to be 0. */
export function distrustSettings(link: string): string[] {
  return Object.entries(trusting).flatMap(([family, names]) => names.map((name) => `${family}/conf/${link}/${name}`));
}

/**
 * Has the host take no router advertisements, addresses, redirects or routes from a link at whose other end is a container: with them
 * it could have the host's packets sent to itself. What is 0 already is not written.
 *
 * @returns settings that could not be set, in an agent's own container for example
 */
export function distrustLink(link: string): string[] {
  return distrustSettings(link)
    .filter((name) => ![undefined, "0"].includes(read(name)))
    .filter((name) => !write(name, "0"))
    .map((name) => `net.${name.replaceAll("/", ".")}`);
}

function read(name: string): string | undefined {
  return readIfThere(`${tree}/${name}`)?.trim();
}

/** False where the settings cannot be written, in an agent's own container for example. */
function write(name: string, value: string): boolean {
  try {
    writeFileSync(`${tree}/${name}`, value);
    return true;
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return false;
  }
}
