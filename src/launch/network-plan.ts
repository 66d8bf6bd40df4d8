import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import type { NetworkPlan } from "../network/network";
import { portForwards } from "./ports";

/** Decides on a task's network. @throws ConfigError if options and the group's network contradict each other */
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
