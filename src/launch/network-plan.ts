import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import type { NetworkPlan } from "../network/network";
import { portForwards } from "./ports";

/** Decides on a task's network. @throws ConfigError if options and the group's network contradict each other */
export function networkPlan(config: TaskConfig, options: TaskOptions): NetworkPlan {
  const { network_veth: veth, network_bridge: bridge, network_zone: zone } = options;
  const word = options.network?.word;
  const isolation = config.networkIsolationSpec;
  if (isolation !== undefined && isolation.path !== "") {
    const own = bridge === undefined ? (zone === undefined ? undefined : "network_zone") : "network_bridge";
    if (own !== undefined || word !== undefined) {
      const asked = own === undefined || word !== undefined ? ["network", word] : [own, options[own]];
      throw new ConfigError(
        `Option ${asked[0]} = ${JSON.stringify(asked[1])} needs a separate network for the task, but the group's network block puts all its tasks into one: remove the option, or use network { mode = "host" }.`,
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
  const none = options.network?.kind === "none";
  if (ports.length > 0) {
    const reason = none
      ? 'network = "none" leaves it without any'
      : `${word === undefined ? "network_veth = false" : 'network = "host"'} uses the host's network`;
    throw new ConfigError(
      `Option ${options.ports.length > 0 ? "ports" : "port_map"} forwards ports to the container's own network, but ${reason}: remove one of them.`,
    );
  }
  return { kind: none ? "none" : "host" };
}
