/**
 * A container's network. A *network plan* says which kind it is: the host's own network, *none* (loopback only), *joined* (the namespace that Nomad made for the
 * task's group: bridge, CNI or none), or *private*, a namespace that systemd-nspawn makes, with a link to the host. Each kind has a
 * provider (networks.ts): it makes a *reservation* before the container starts, and from that an *attachment* to the started
 * container.
 *
 * Only private networks leave anything on the host: private/ gives them addresses and follows them, firewall/ forwards ports to them, and
 * dhcp/ serves addresses to a container or requests one for it. dns.ts writes the name servers and host names that a container gets.
 */

/** A port of the host that is forwarded to one of the container, for TCP and UDP. */
export interface PortForward {
  readonly label: string;
  /** The host address it is bound to; undefined for every address. */
  readonly hostAddress?: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

/** How a task is connected to the network. */
export type NetworkPlan =
  /** The host's own network. */
  | { readonly kind: "host" }
  /** A namespace that systemd-nspawn makes, with loopback only. */
  | { readonly kind: "none" }
  | JoinedNetwork
  | PrivateNetwork;

/** A namespace that Nomad created for the group: bridge, CNI, or only loopback. */
export interface JoinedNetwork {
  readonly kind: "joined";
  readonly path: string;
  /** The group's name and address, if the agent provides them. */
  readonly hosts?: { readonly hostname: string; readonly address: string };
}

/** A namespace that systemd-nspawn creates, with a link to the host. */
export interface PrivateNetwork {
  readonly kind: "private";
  /** veth: to the host only. zone: to a bridge that exists while it has containers. bridge: to an existing bridge of the host. */
  readonly link: "veth" | "zone" | "bridge";
  readonly bridge?: string;
  readonly ports: readonly PortForward[];
}

/** Label → port in the container, for Nomad's NetworkOverride. */
export function containerPorts(forwards: readonly PortForward[]): Record<string, number> {
  return Object.fromEntries(forwards.map(({ label, containerPort }) => [label, containerPort]));
}
