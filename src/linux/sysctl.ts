import { existsSync, writeFileSync } from "node:fs";
import { permitted } from "../lib/errors";
import { readIfThere } from "../lib/files";
import type { Route } from "./netlink/route";

/** ip-sysctl of the kernel's documentation. */
const TREE = "/proc/sys/net";

/** Whether the host uses IPv6. */
export function hasIpv6(): boolean {
  return existsSync(`${TREE}/ipv6`) && read("ipv6/conf/all/disable_ipv6") !== "1";
}

/** Whether the host forwards packets between its links. */
export function forwards(family: 4 | 6): boolean {
  return read(family === 4 ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding") === "1";
}

/**
 * Enables packet forwarding, which containers with their own network need; it stays enabled, because others may rely on it by then.
 *
 * If the host's own IPv6 default route comes from router advertisements processed by the kernel, forwarding would remove it
 * (accept_ra): IPv6 is left alone then.
 *
 * @returns which settings were changed, and which could not be changed
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

/** Whether bridged packets pass the IPv6 rules as well (br_netfilter). */
export function bridgesAreFiltered(): boolean {
  return read("bridge/bridge-nf-call-ip6tables") === "1";
}

/** Lets packets between 127.0.0.1 and others pass a link (route_localnet), if the host permits it. */
export function routeLoopback(link: string): void {
  write(`ipv4/conf/${link}/route_localnet`, "1");
}

/** What a host would accept from the other end of a link about its own network, by family. */
const trustSettings = {
  ipv4: ["accept_redirects", "accept_source_route"],
  ipv6: ["accept_ra", "autoconf", "accept_redirects", "accept_source_route"],
} as const;

/** The settings with which the host accepts no addresses, routes and routers from a link: all have to be 0. */
export function distrustSettings(link: string): string[] {
  return Object.entries(trustSettings).flatMap(([family, names]) =>
    names.map((name) => `${family}/conf/${link}/${name}`),
  );
}

/**
 * Makes the host ignore router advertisements, addresses, redirects and routes from a link to a container: with them
 * the container could redirect the host's packets to itself. Settings that are 0 already are not written.
 *
 * @returns settings that could not be changed, in an agent's own container for example
 */
export function distrustLink(link: string): string[] {
  return distrustSettings(link)
    .filter((name) => ![undefined, "0"].includes(read(name)))
    .filter((name) => !write(name, "0"))
    .map((name) => `net.${name.replaceAll("/", ".")}`);
}

function read(name: string): string | undefined {
  return readIfThere(`${TREE}/${name}`)?.trim();
}

/** False if the settings cannot be written, in an agent's own container for example. */
function write(name: string, value: string): boolean {
  return permitted(() => writeFileSync(`${TREE}/${name}`, value));
}
