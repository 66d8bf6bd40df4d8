import * as v from "valibot";
import { parseHostEntry } from "../../values/hosts";
import { interfaceAddressProblem, parseAddress } from "../../values/ip";
import { macProblem } from "../../values/link-names";
import { bridgeNameProblem, domainProblem, interfaceNameProblem } from "../../values/names";
import { dnsServers } from "../dns-row";
import { option } from "../option";
import { flag, numberMap, string, strings } from "../row-types";
import { checked, filledText, Problem, parsed, text } from "../validators";

const NETWORKS = '"host", "none", "private", "zone:NAME", "bridge:NAME", "macvlan:INTERFACE" or "ipvlan:INTERFACE"';

/** The search list's "." means none (resolv.conf(5)). */
const searchDomain = v.pipe(
  filledText,
  checked((name: string) => (name === "." ? undefined : domainProblem(name))),
);

/** The container's network. */
export const networkOptions = {
  network: option({
    ...string(v.pipe(text, parsed(parseNetwork))),
    allowed: NETWORKS,
    meaning:
      "The container's network in one word, instead of `network_veth`, `network_zone` and `network_bridge`: the client's own (`host`), loopback only (`none`), a private one with a link to the client (`private`, the default), a zone, a bridge of the client, or an interface of its own on the network of one of the client's (`macvlan`, `ipvlan`), which the operator must allow with `network { interfaces }`.",
    nspawn: "--private-network",
    example: 'network = "none"',
  }),
  network_veth: option({
    ...flag(true),
    defaultInSpec: true,
    meaning: "Give the container a private network, connected to the host by a virtual Ethernet link.",
    nspawn: "--network-veth",
  }),
  network_bridge: option({
    ...string(v.pipe(text, checked(bridgeNameProblem))),
    allowed: "the name of a bridge of the client",
    meaning: "Existing bridge of the host to attach the container's link to.",
    nspawn: "--network-bridge=",
    example: 'network_bridge = "br0"',
  }),
  network_zone: option({
    ...string(v.pipe(text, checked(zoneProblem))),
    allowed: "the name of a network zone of at most 12 characters",
    meaning: "Network zone of the container; all containers in a zone reach each other.",
    nspawn: "--network-zone=",
    example: 'network_zone = "backend"',
  }),
  network_interface: option({
    ...strings(v.pipe(text, checked(bridgeNameProblem))),
    allowed: "a list of names of network interfaces of the client",
    meaning:
      'Interfaces of the client that the container gets for itself as long as it runs, in addition to its other network; with `network = "none"`, nothing else. The operator must allow them with `network { interfaces }`.',
    nspawn: "--network-interface=",
    example: 'network_interface = ["eth1"]',
  }),
  ipv4_address: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => interfaceAddressProblem(value, 4)),
      ),
    ),
    allowed: "an IPv4 address with the length of its network",
    meaning:
      "Address of the container, instead of one that it is given: behind `network_bridge`, in a zone, on macvlan, ipvlan or a `network_interface`.",
    example: 'ipv4_address = "192.0.2.10/24"',
  }),
  ipv6_address: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => interfaceAddressProblem(value, 6)),
      ),
    ),
    allowed: "an IPv6 address with the length of its network",
    meaning: "The same for IPv6.",
    example: 'ipv6_address = "2001:db8::10/64"',
  }),
  ipv4_gateway: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => gatewayProblem(value, 4)),
      ),
    ),
    allowed: "an IPv4 address",
    meaning:
      "Router of the container with `ipv4_address`; without it the container reaches only its own network. Not in a zone.",
    example: 'ipv4_address = "192.0.2.10/24"\nipv4_gateway = "192.0.2.1"',
  }),
  ipv6_gateway: option({
    ...string(
      v.pipe(
        text,
        checked((value: string) => gatewayProblem(value, 6)),
      ),
    ),
    allowed: "an IPv6 address",
    meaning: "The same for IPv6.",
    example: 'ipv6_address = "2001:db8::10/64"\nipv6_gateway = "2001:db8::1"',
  }),
  mac_address: option({
    ...string(v.pipe(text, checked(macProblem))),
    allowed: "a hardware address",
    meaning:
      "Hardware address of the container's interface; by default systemd-nspawn makes one of the machine's name. Not with ipvlan.",
    example: 'mac_address = "02:00:5e:10:00:01"',
  }),
  ports: option({
    ...strings(filledText),
    allowed: "a list of port labels",
    meaning: "Labels of the group's ports to forward to the container.",
    nspawn: "--port=",
    example: 'ports = ["http"]',
  }),
  port_map: option({
    ...numberMap({ value: portProblem }),
    allowed: "a map of port label to port number in the container",
    meaning: "Ports of the container by label, as in older versions of the Docker driver; prefer `ports`.",
    nspawn: "--port=",
    example: "port_map = {\n  http = 80\n}",
  }),
  extra_hosts: option({
    ...strings(v.pipe(text, parsed(hostEntry))),
    allowed: 'a list of "NAME:ADDRESS"',
    meaning:
      "Further names in the container's `/etc/hosts`, with an IPv4 or IPv6 address each (docs/networking.md). Not together with a mount of the job's own at `/etc/hosts`.",
    example: 'extra_hosts = ["db:192.0.2.7", "db:2001:db8::7"]',
  }),
  domainname: option({
    ...string(v.pipe(filledText, checked(ownDomainProblem))),
    allowed: "the name of a DNS domain",
    meaning:
      "Domain of the container's host name: `HOSTNAME.DOMAIN` is its first name in `/etc/hosts`, as `hostname -f` prints it. Not with a `hostname` that has a domain.",
    example: 'domainname = "internal.example.org"',
  }),
  dns_servers: option({
    ...dnsServers,
    meaning:
      "Name servers in the container's `/etc/resolv.conf`; by default those of the client. Nomad's `dns` block takes precedence over this option and the two following ones.",
    example: 'dns_servers = ["192.0.2.53", "2001:db8::53"]',
  }),
  dns_search_domains: option({
    ...strings(searchDomain),
    allowed: "a list of domains",
    meaning:
      'Domains in which short names are looked up (resolv.conf(5)); by default those of the client. `["."]` is none.',
    example: 'dns_search_domains = ["service.consul", "example.org"]',
  }),
  dns_options: option({
    ...strings(v.pipe(filledText, checked(resolverOptionProblem))),
    allowed: "a list of options of resolv.conf(5)",
    meaning: "Options of the resolver (resolv.conf(5)); by default those of the client.",
    example: 'dns_options = ["ndots:2", "edns0"]',
  }),
};

/** A network in one word. */
export interface NetworkWord {
  readonly kind: "host" | "none" | "private" | "zone" | "bridge" | "macvlan" | "ipvlan";
  /** Of the zone, bridge or interface; "" for the others. */
  readonly name: string;
  /** As the job has it. */
  readonly word: string;
}

function parseNetwork(word: string): NetworkWord | Problem {
  if (word === "host" || word === "none" || word === "private") return { kind: word, name: "", word };
  const [, kind, name = ""] = /^(zone|bridge|macvlan|ipvlan):(.*)$/s.exec(word) ?? [];
  if (kind === "zone" || kind === "bridge" || kind === "macvlan" || kind === "ipvlan") {
    const problem = kind === "zone" ? zoneProblem(name) : bridgeNameProblem(name);
    return problem === undefined ? { kind, name, word } : new Problem(`of the name, ${problem}`);
  }
  return new Problem(`it must be ${NETWORKS}`);
}

function gatewayProblem(value: string, family: 4 | 6): string | undefined {
  return parseAddress(value)?.family === family ? undefined : `it must be an IPv${family} address`;
}

function zoneProblem(name: string): string | undefined {
  return interfaceNameProblem(name, "vz-");
}

/** Without the root's dot, which would be in the middle of nothing in /etc/hosts. */
function ownDomainProblem(name: string): string | undefined {
  return name.endsWith(".") ? "it must not end with a dot" : domainProblem(name);
}

function resolverOptionProblem(word: string): string | undefined {
  return /^[a-z0-9:._-]+$/i.test(word) ? undefined : 'it must be an option of resolv.conf(5), such as "ndots:2"';
}

function hostEntry(entry: string) {
  const problem = "it must be a host name, a colon and an IPv4 or IPv6 address, such as db:192.0.2.7";
  return parseHostEntry(entry) ?? new Problem(problem);
}

function portProblem(port: number): string | undefined {
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? undefined : "it must be a port from 1 to 65535";
}
