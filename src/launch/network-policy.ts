import { sysctlsOf } from "../config/derived";
import type { PluginOptions } from "../config/plugin/options";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { type Link, Links } from "../linux/netlink/route";
import type { NetworkPlan } from "../network/network";
import { refuseTakenPorts } from "../network/private/listeners";
import { LaunchError } from "../supervisor/supervisor";
import { matchesPattern } from "../values/sysctl";

/** The operator's settings about networks. */
type NetworkPolicy = Pick<PluginOptions, "allow_host_network"> & {
  readonly network: Pick<PluginOptions["network"], "bridges" | "interfaces">;
};

/**
 * Checks a task's network against what the operator allows, and what the client has.
 *
 * @throws ConfigError naming what is requested and what is allowed; LaunchError, which Nomad retries, if a bridge does not exist
 * yet, or a program of the client listens on a port
 */
export async function checkNetwork(
  plan: NetworkPlan,
  options: Pick<TaskOptions, "network_interface">,
  policy: NetworkPolicy,
): Promise<void> {
  checkNetworkPolicy(plan, policy);
  checkInterfaces(hostInterfaces(plan, options), policy);
  if (plan.kind !== "private") return;
  await refuseTakenPorts(plan.ports);
  if (plan.link !== "bridge" || plan.bridge === undefined) return;
  using links = new Links();
  checkBridge(plan.bridge, links.link(plan.bridge));
}

/** @throws ConfigError naming what is requested and what is allowed */
export function checkNetworkPolicy(plan: NetworkPlan, policy: NetworkPolicy): void {
  if (plan.kind === "host" && !policy.allow_host_network) {
    throw new ConfigError(
      'Option network_veth = false (or network = "host") puts the container into the client\'s own network, which this client does not allow (allow_host_network = false): remove it, or give the group a network { mode = "bridge" }.',
    );
  }
  const { bridges } = policy.network;
  if (plan.kind !== "private" || plan.link !== "bridge" || bridges.length === 0) return;
  const { bridge = "" } = plan;
  if (bridges.some((pattern) => matchesPattern(bridge, pattern))) return;
  throw new ConfigError(
    `Option network_bridge asks for ${JSON.stringify(plan.bridge)}, which this client does not allow: network.bridges of the plugin's config allows ${bridges.map((name) => JSON.stringify(name)).join(", ")}.`,
  );
}

/** @throws ConfigError if the job sets a network's kernel settings, and the network is the client's own */
export function refuseHostSysctls({ kind }: NetworkPlan, options: Pick<TaskOptions, "sysctl">): void {
  const refused = kind === "host" ? sysctlsOf(options).find(({ namespace }) => namespace === "net") : undefined;
  if (refused === undefined) return;
  throw new ConfigError(
    `Option sysctl sets ${JSON.stringify(refused.name)}, which would be the client's own setting, because the container is in the client's network (network_veth = false, or network = "host"): give it another network.`,
  );
}

/** An interface of the client that a task uses, and the option that names it. */
interface HostInterface {
  readonly option: string;
  readonly name: string;
}

function hostInterfaces(plan: NetworkPlan, { network_interface: moved }: Pick<TaskOptions, "network_interface">) {
  const parents = plan.kind === "lan" && plan.via !== "interface" ? plan.interfaces : [];
  const word = plan.kind === "lan" ? plan.via : "";
  return [
    ...parents.map((name) => ({ option: `network = "${word}:${name}"`, name })),
    ...moved.map((name) => ({ option: `network_interface = ["${name}"]`, name })),
  ];
}

/** @throws ConfigError, LaunchError see checkNetwork() */
export function checkInterfaces(wanted: readonly HostInterface[], { network }: NetworkPolicy): void {
  if (wanted.length === 0) return;
  for (const { option, name } of wanted) {
    if (network.interfaces.some((pattern) => matchesPattern(name, pattern))) continue;
    const allowed = network.interfaces.map((pattern) => JSON.stringify(pattern)).join(", ") || "nothing";
    throw new ConfigError(
      `Option ${option} asks for an interface of the client, which this client does not allow: network.interfaces of the plugin's config allows ${allowed}.`,
    );
  }
  using links = new Links();
  const present = links.links().map(({ name }) => name);
  const missing = wanted.find(({ name }) => !present.includes(name));
  if (missing === undefined) return;
  throw new LaunchError(
    `Option ${missing.option} names a network interface that this client does not have, or that another task uses: the client has ${present.join(", ")}.`,
    { recoverable: true },
  );
}

/** @throws ConfigError, LaunchError see checkNetwork() */
export function checkBridge(name: string, found: Pick<Link, "kind"> | undefined): void {
  if (found === undefined) {
    throw new LaunchError(
      `Option network_bridge = ${JSON.stringify(name)} names a bridge that this client does not have: create it (ip link add name ${name} type bridge), or name another.`,
      { recoverable: true },
    );
  }
  if (found.kind === "bridge") return;
  throw new ConfigError(
    `Option network_bridge = ${JSON.stringify(name)} names a network interface of this client that is not a bridge${found.kind === undefined ? "" : ` but of the kind ${JSON.stringify(found.kind)}`}: a container can only be attached to a bridge.`,
  );
}
