import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { defined } from "../lib/objects";
import type { NetworkPlan, OwnAddresses } from "../network/network";
import { portForwards } from "./ports";

/** Decides on a task's network. @throws ConfigError if options and the group's network contradict each other */
export function networkPlan(config: TaskConfig, options: TaskOptions): NetworkPlan {
  const isolation = config.networkIsolationSpec;
  if (isolation !== undefined && isolation.path !== "") {
    refuseOwnNetwork(options);
    // The ports belong to the group's namespace: the agent forwards them. As in the Docker driver, only the labels are checked.
    portForwards(options, config.resources);
    const { hostname = "", address = "" } = isolation.hostsConfig ?? {};
    return {
      kind: "joined",
      path: isolation.path,
      ...(hostname === "" || address === "" ? {} : { hosts: { hostname, address } }),
    };
  }
  const plan = ownNetwork(config, options);
  refuseAddresses(plan, options);
  refusePorts(plan, options);
  return plan;
}

function ownNetwork(config: TaskConfig, options: TaskOptions): NetworkPlan {
  const { network_veth: veth, network_bridge: bridge, network_zone: zone, network, network_interface: moved } = options;
  const own = ownAddresses(options);
  const ports = portForwards(options, config.resources);
  const ofJob = defined({ own });
  if (zone !== undefined) return { kind: "private", link: "zone", bridge: `vz-${zone}`, ports, ...ofJob };
  if (bridge !== undefined) return { kind: "private", link: "bridge", bridge, ports, ...ofJob };
  if (veth) return { kind: "private", link: "veth", ports, ...ofJob };
  if (network?.kind === "macvlan" || network?.kind === "ipvlan") {
    return { kind: "lan", via: network.kind, interfaces: [network.name], ...ofJob };
  }
  if (network?.kind === "none") {
    return moved.length === 0 ? { kind: "none" } : { kind: "lan", via: "interface", interfaces: moved, ...ofJob };
  }
  return { kind: "host" };
}

/** What the options set of the container's interface; undefined if nothing. */
function ownAddresses(options: TaskOptions): OwnAddresses | undefined {
  const present = (...values: readonly (string | undefined)[]) => values.filter((value) => value !== undefined);
  const addresses = present(options.ipv4_address, options.ipv6_address);
  const gateways = present(options.ipv4_gateway, options.ipv6_gateway);
  const { mac_address: mac } = options;
  return addresses.length === 0 && mac === undefined ? undefined : { addresses, gateways, ...defined({ mac }) };
}

/** The options that need a network of the task's own, with their values; the one that says the most first. */
function refuseOwnNetwork({ network, network_bridge, network_zone, ...options }: TaskOptions): void {
  const { network_interface: moved, ipv4_address, ipv6_address, mac_address } = options;
  const set = { network: network?.word, network_bridge, network_zone, network_interface: moved[0] };
  const asked = Object.entries({ ...set, ipv4_address, ipv6_address, mac_address }).find(
    ([, value]) => value !== undefined,
  );
  if (asked === undefined) return;
  throw new ConfigError(
    `Option ${asked[0]} = ${JSON.stringify(asked[1])} needs a separate network for the task, but the group's network block puts all its tasks into one: remove the option, or use network { mode = "host" }.`,
  );
}

/** @throws ConfigError for an address that the container's network has no use for */
function refuseAddresses(plan: NetworkPlan, options: TaskOptions): void {
  const { ipv4_address, ipv6_address, mac_address, network_interface: moved } = options;
  const [address] = Object.entries({ ipv4_address, ipv6_address }).filter(([, value]) => value !== undefined);
  const refuse = (option: string, value: string | undefined, why: string) => {
    throw new ConfigError(`Option ${option} = ${JSON.stringify(value)} cannot be used here: ${why}.`);
  };
  if (plan.kind === "host" && moved.length > 0) {
    refuse(
      "network_interface",
      moved[0],
      'the container is in the client\'s network; write network = "none" for one of its own',
    );
  }
  const addressable = plan.kind === "lan" || (plan.kind === "private" && plan.link !== "veth");
  if (address !== undefined && !addressable) {
    const where = "network_bridge, network_zone, macvlan, ipvlan or network_interface";
    refuse(...address, `it needs a network in which the container can have one of its own (${where})`);
  }
  const gateway = options.ipv4_gateway ?? options.ipv6_gateway;
  if (gateway !== undefined && plan.kind === "private" && plan.link === "zone") {
    refuse(
      options.ipv4_gateway === undefined ? "ipv6_gateway" : "ipv4_gateway",
      gateway,
      "the router of a zone is the client",
    );
  }
  const named = plan.kind === "private" || (plan.kind === "lan" && plan.via === "macvlan");
  if (mac_address !== undefined && !named) {
    refuse("mac_address", mac_address, "it needs a private network, a zone, a bridge or macvlan");
  }
}

/** @throws ConfigError for ports that cannot be forwarded */
function refusePorts(plan: NetworkPlan, { ports, port_map: map, network }: TaskOptions): void {
  if (plan.kind === "private" || plan.kind === "joined" || (ports.length === 0 && Object.keys(map).length === 0))
    return;
  const reasons = {
    none: 'network = "none" leaves it without any',
    host: `${network === undefined ? "network_veth = false" : 'network = "host"'} uses the host's network`,
    lan: "other hosts reach it at its own address",
  };
  throw new ConfigError(
    `Option ${ports.length > 0 ? "ports" : "port_map"} forwards ports to the container's own network, but ${reasons[plan.kind]}: remove one of them.`,
  );
}
