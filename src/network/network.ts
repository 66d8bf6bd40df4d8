/**
 * A container's network. A *network plan* says which kind it is: the host's own network, *none* (loopback only), *joined* (the namespace that Nomad made for the
 * task's group: bridge, CNI or none), *private*, a namespace that systemd-nspawn makes, with a link to the host, or *lan*, one with interfaces
 * on a network of the client's. Each kind has a
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
  | PrivateNetwork
  | LanNetwork;

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
  /** What the job sets of the container's end. */
  readonly own?: OwnAddresses;
}

/** A namespace that systemd-nspawn creates, with interfaces that are on a network of the client's, without any part of the driver. */
export interface LanNetwork {
  readonly kind: "lan";
  /** macvlan, ipvlan: an interface on another of the client. interface: interfaces of the client that move into the container. */
  readonly via: "macvlan" | "ipvlan" | "interface";
  readonly interfaces: readonly string[];
  readonly own?: OwnAddresses;
}

/** What a job sets of a container's interface. */
export interface OwnAddresses {
  /** "ADDRESS/PREFIX", at most one of each family. */
  readonly addresses: readonly string[];
  /** Addresses of routers, at most one of each family. */
  readonly gateways: readonly string[];
  readonly mac?: string;
}

/** The network that Nomad registers services with (NetworkOverride). */
export interface NetworkOverride {
  readonly addr: string;
  readonly portMap: Readonly<Record<string, number>>;
  /** Whether services register this address if the job does not say: it is reachable from other hosts. */
  readonly autoAdvertise: boolean;
}

/** The network of a container that runs, as a task sees it. */
export interface TaskNetwork {
  readonly link: PrivateNetwork["link"] | "lan";
  /** Addresses of the container that this client cannot reach through its link. */
  readonly unreached: readonly string[];
  /** Waits up to `ms` until the container has an address; false if it still has none. */
  ready(ms: number): Promise<boolean>;
  /** Undefined while the container has no address. */
  override(): NetworkOverride | undefined;
  close(): void;
}

/** Label → port in the container, for Nomad's NetworkOverride. */
export function containerPorts(forwards: readonly PortForward[]): Record<string, number> {
  return Object.fromEntries(forwards.map(({ label, containerPort }) => [label, containerPort]));
}
