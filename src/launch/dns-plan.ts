import { readFile } from "node:fs/promises";
import type { DNSConfig, TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { TaskOptions } from "../config/task/options";
import { ignoreMissing } from "../lib/errors";
import { type HostNames, hostResolvers, hostsFile } from "../network/dns";
import { joinedAddresses } from "../network/namespace";
import type { JoinedNetwork, NetworkPlan } from "../network/network";
import type { ImageHosts } from "../rootfs/rootfs";

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
  readonly hosts: HostsPlan;
}

/** What is known of a container's /etc/hosts before its root and its addresses are. */
export interface HostsPlan extends HostNames {
  /** The network's own file, whose lines the container gets: the host's in the host's network; "" in others. */
  readonly base: string;
  /** Whether it replaces the file of any image: the names are those of a group's network. */
  readonly replaces: boolean;
}

/**
 * The name resolution for a container's network. Nomad's dns block takes precedence over the option resolv_conf. Without both, a
 * container that is not in the host's network uses the host's name servers.
 */
export async function nameService(
  { dns }: Pick<TaskConfig, "dns">,
  options: Pick<TaskOptions, "resolv_conf" | "hostname" | "extra_hosts">,
  network: NetworkPlan,
  machine: string,
): Promise<NameService> {
  const asked = resolvConf(dns);
  const open =
    asked === undefined && options.resolv_conf === undefined && network.kind !== "host" && network.kind !== "none";
  const hostname = options.hostname ?? machine;
  const base = network.kind === "host" ? ((await readFile("/etc/hosts", "utf8").catch(ignoreMissing)) ?? "") : "";
  const joined = network.kind === "joined" ? groupNames(network, hostname) : { names: [hostname], addresses: [] };
  return {
    asked,
    resolvers: open ? await hostResolvers() : undefined,
    hosts: { ...joined, base, replaces: joined.addresses.length > 0, extra: options.extra_hosts },
  };
}

/** The agent provides host name and address only for networks created by the Docker driver; for others both are determined here. */
function groupNames({ path, hosts }: JoinedNetwork, hostname: string): Omit<HostNames, "extra"> {
  return hosts === undefined
    ? { names: [hostname], addresses: joinedAddresses(path) }
    : { names: [hosts.hostname, hostname], addresses: [hosts.address] };
}

/**
 * The text of a container's /etc/hosts. An image of the store gets one of the driver's, like with Docker; a directory's own lines are kept;
 * and a directory or disk image which the driver does not make a root of keeps its own file, unless the job or the group
 * has names for it.
 *
 * @param image see Rootfs.hosts
 * @param addresses of the container, if the driver assigns them
 * @returns undefined if the image's own file is used
 */
export function hostsText(plan: HostsPlan, image: ImageHosts, addresses: readonly string[]): string | undefined {
  if (image.keep && !plan.replaces && plan.extra.length === 0) return undefined;
  const known = plan.addresses.length > 0 ? plan.addresses : addresses;
  return hostsFile({ ...plan, addresses: known }, image.text === "" || plan.replaces ? plan.base : image.text);
}
