import * as v from "valibot";
import { networkSizes, parseSubnet } from "../../values/ip";
import { bridgeNameProblem } from "../../values/names";
import { dnsServers } from "../dns-row";
import { duration } from "../duration-row";
import { option } from "../option";
import { string, strings } from "../row-types";
import { checked, text } from "../validators";

/** Options of the block `network`. */
export const networkOptions = {
  bridges: option({
    ...strings(v.pipe(text, checked(namePatternProblem))),
    allowed: "a list of names of bridges, in which `*` stands for any characters",
    meaning: "Bridges that `network_bridge` may name; empty allows any bridge of the client.",
    example: 'bridges = ["br0"]',
  }),
  interfaces: option({
    ...strings(v.pipe(text, checked(namePatternProblem))),
    allowed: "a list of names of network interfaces, in which `*` stands for any characters",
    meaning:
      'Interfaces of the client that tasks may use, by `network = "macvlan:INTERFACE"`, `"ipvlan:INTERFACE"` or `network_interface`; none by default. A task takes a `network_interface` away from the client while it runs.',
    example: 'interfaces = ["eth1", "lan*"]',
  }),
  ipv4_pool: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => poolProblem(value, 4)),
      ),
    ),
    allowed: 'a network such as "10.213.0.0/16", or "none"',
    meaning:
      "IPv4 network from which containers get addresses, a /30 per `network_veth` and a /24 per zone; by default the first of `10.213.0.0/16`, `172.30.208.0/20` and `192.168.208.0/20` to which the client has no route.",
  }),
  ipv6_pool: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => poolProblem(value, 6)),
      ),
    ),
    allowed: 'a network such as "fd12:3456:789a::/48", or "none"',
    meaning:
      "The same for IPv6, with a /64 each; by default a unique local network derived from the client's machine ID.",
  }),
  dns_servers: option({
    ...dnsServers,
    meaning:
      "Name servers of containers with a network of their own, for tasks that name none; by default those of the client.",
    example: 'dns_servers = ["192.0.2.53"]',
  }),
  address_wait: option({
    ...duration("5s", 0),
    meaning:
      "How long a task's start waits for an address that is assigned externally (DHCP on a bridge or with macvlan) before it continues without one.",
  }),
};

function namePatternProblem(pattern: string): string | undefined {
  return pattern === "*"
    ? undefined
    : bridgeNameProblem(pattern.replaceAll("*", "x").slice(0, pattern.includes("*") ? 15 : undefined));
}

/** Rejects a network that is too small for one link with two hosts. */
function poolProblem(value: string, family: 4 | 6): string | undefined {
  if (value === "none") return undefined;
  const subnet = parseSubnet(value);
  const smallest = networkSizes.veth[family];
  return subnet?.family === family && subnet.prefix <= smallest
    ? undefined
    : `it must be an IPv${family} network of at least /${smallest}, or "none"`;
}
