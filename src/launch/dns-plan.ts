import type { DNSConfig, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { hostResolvers, hostsFile } from "../network/dns";
import { joinedAddresses } from "../network/namespace";
import type { JoinedNetwork, NetworkPlan } from "../network/network";

/**
 * The text of /etc/resolv.conf for Nomad's dns block (resolv.conf(5)); undefined if the block is absent or empty.
 *
 * @throws Error if a value contains a line break
 */
export function resolvConf(dns: DNSConfig | undefined): string | undefined {
  if (dns === undefined) return undefined;
  const { servers, searches, options } = dns;
  const lines = [
    ...servers.map((server) => `nameserver ${server}`),
    ...(searches.length > 0 ? [`search ${searches.join(" ")}`] : []),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
  ];
  const broken = lines.find((line) => /[\n\r\0]/.test(line));
  if (broken !== undefined) {
    throw new Error(
      `The dns block has the value ${JSON.stringify(broken)} with a line break: write one value per item.`,
    );
  }
  return lines.length === 0 ? undefined : `${lines.join("\n")}\n`;
}

/** Name resolution in a container, as contents of resolv.conf(5) and hosts(5). */
export interface NameService {
  /** Nomad's dns block. */
  readonly asked: string | undefined;
  /** The host's name servers, if the job sets none and the container can use them. */
  readonly resolvers: string | undefined;
  /** Undefined if the image's own file is kept. */
  readonly hosts: string | undefined;
}

/**
 * The name resolution for a container's network. Nomad's dns block takes precedence over the option resolv_conf. Without both, a
 * container that is not in the host's network uses the host's name servers.
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

/** The agent provides host name and address only for networks created by the Docker driver; for others both are determined here. */
function groupHosts({ path, hosts }: JoinedNetwork, hostname: string): string | undefined {
  const addresses = hosts === undefined ? joinedAddresses(path) : [hosts.address];
  if (addresses.length === 0) return undefined;
  return hostsFile(addresses, hosts === undefined ? [hostname] : [hosts.hostname, hostname]);
}
