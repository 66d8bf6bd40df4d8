import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { ConfigError } from "../config/config-error";
import type { TaskOptions } from "../config/options";
import { type PortForward, portForwards } from "./ports";

/** How a task is connected to the network. */
export type NetworkPlan =
  /** The host's own network. */
  { readonly kind: "host" } | JoinedNetwork | PrivateNetwork;

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
  /** Name of the bridge. */
  readonly bridge?: string;
  readonly ports: readonly PortForward[];
}

/**
 * Decides on a task's network.
 *
 * @throws ConfigError if options and the group's network contradict each other
 */
export function networkPlan(config: TaskConfig, options: TaskOptions): NetworkPlan {
  const { network_veth: veth, network_bridge: bridge, network_zone: zone } = options;
  const isolation = config.networkIsolationSpec;
  if (isolation !== undefined && isolation.path !== "") {
    const own = bridge === undefined ? (zone === undefined ? undefined : "network_zone") : "network_bridge";
    if (own !== undefined) {
      throw new ConfigError(
        `Option ${own} = ${JSON.stringify(options[own])} needs a separate network for the task, but the group's network block puts all its tasks into one: remove the option, or use network { mode = "host" }.`,
      );
    }
    // The ports belong to the group's namespace: the agent forwards them. As in the Docker driver, only the labels are checked.
    portForwards(options, config.resources);
    const { hostname = "", address = "" } = isolation.hostsConfig ?? {};
    return {
      kind: "joined",
      path: isolation.path,
      ...(hostname === "" || address === "" ? {} : { hosts: { hostname, address } }),
    };
  }
  const ports = portForwards(options, config.resources);
  if (zone !== undefined) return { kind: "private", link: "zone", bridge: `vz-${zone}`, ports };
  if (bridge !== undefined) return { kind: "private", link: "bridge", bridge, ports };
  if (veth) return { kind: "private", link: "veth", ports };
  if (ports.length > 0) {
    throw new ConfigError(
      `Option ${options.ports.length > 0 ? "ports" : "port_map"} forwards ports to the container's own network, but network_veth = false uses the host's network: remove one of them.`,
    );
  }
  return { kind: "host" };
}
