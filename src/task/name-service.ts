import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/options";
import { hostResolvers } from "../network/host-resolvers";
import { hostsFile } from "../network/hosts-file";
import { joinedAddresses } from "../network/joined-namespace";
import type { JoinedNetwork, NetworkPlan } from "../network/plan";
import { resolvConf } from "./resolv-conf";

/** How names are looked up in a container, as texts of resolv.conf(5) and hosts(5). */
export interface NameService {
  /** Nomad's dns block. */
  readonly asked: string | undefined;
  /** The host's servers, where nobody said which and the container can use them. */
  readonly resolvers: string | undefined;
  /** Undefined where the image's own stays. */
  readonly hosts: string | undefined;
}

/**
 * What a container's network makes necessary. Nomad's dns block comes first, then the option resolv_conf. Without both a container
 * in a network that is not the host's asks the host's own servers.
 */
export async function nameService(
  { dns }: Pick<TaskConfig, "dns">,
  options: Pick<TaskOptions, "resolv_conf" | "hostname">,
  network: NetworkPlan,
  machine: string,
): Promise<NameService> {
  const asked = resolvConf(dns);
  const open = asked === undefined && options.resolv_conf === undefined && network.kind !== "host";
  return {
    asked,
    resolvers: open ? await hostResolvers() : undefined,
    hosts: network.kind === "joined" ? groupHosts(network, options.hostname ?? machine) : undefined,
  };
}

/** The agent tells name and address for networks that the Docker driver has made; of others both are found out here. */
function groupHosts({ path, hosts }: JoinedNetwork, hostname: string): string | undefined {
  const addresses = hosts === undefined ? joinedAddresses(path) : [hosts.address];
  if (addresses.length === 0) return undefined;
  return hostsFile(addresses, hosts === undefined ? [hostname] : [hosts.hostname, hostname]);
}
